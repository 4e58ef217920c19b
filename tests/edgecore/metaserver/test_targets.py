from __future__ import annotations

import pytest

from edgecore.metaserver.failures import Failure
from edgecore.metaserver.targets import Query, split_target


def test_a_target_is_a_path_and_parameters() -> None:
    path, query = split_target("/api/v1/pods%2Fa?watch=true&limit=5&limit=7")
    assert path == "/api/v1/pods/a"
    assert query.flag("watch")
    assert query.number("limit") == 7


def test_parameters_are_read_or_refused() -> None:
    query = Query({"limit": "x", "watch": "perhaps", "n": "5"})
    assert query.number("n") == 5
    with pytest.raises(Failure):
        query.number("limit")
    with pytest.raises(Failure):
        query.flag("watch")
