from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.validation.rbac import check_account_rules

RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}


@pytest.mark.parametrize("body", [{}, {"rules": [RULE], "namespaces": [{"namespace": "shop", "rules": [RULE]}]}])
def test_rules_are_taken(body: Any) -> None:
    assert check_account_rules(body) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rules": {}, "namespaces": "x"}, "namespaces"),
        ({"rules": "x"}, "rules"),
        ({"rules": [1]}, "rules"),
        ({"rules": [{"verbs": "get"}]}, "rules"),
        ({"rules": [{"verbs": [1]}]}, "rules"),
        ({"namespaces": [{"rules": [RULE]}]}, "namespaces"),
        ({"namespaces": [{"namespace": "shop", "rules": [{"verbs": None}]}]}, "namespaces[0].rules"),
    ],
)
def test_what_a_device_could_not_read_is_refused(body: Any, field: str) -> None:
    assert [cause.field for cause in check_account_rules(body)] == [field]
