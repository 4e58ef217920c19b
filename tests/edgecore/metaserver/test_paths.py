from __future__ import annotations

import pytest

from edgecore.metaserver.failures import Failure
from edgecore.metaserver.paths import Place, Query, place_of, split_target, verb_of


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/api/v1", Place("", "v1")),
        ("/api/v1/pods", Place("", "v1", "pods")),
        ("/api/v1/namespaces/d/pods/a/status", Place("", "v1", "pods", "d", "a", "status")),
        ("/api/v1/namespaces/d", Place("", "v1", "namespaces", "", "d")),
        ("/api/v1/watch/namespaces/d/pods", Place("", "v1", "pods", "d", watch=True)),
        ("/apis/node.k8s.io/v1/runtimeclasses/x", Place("node.k8s.io", "v1", "runtimeclasses", "", "x")),
        ("/apis", None),
        ("/healthz", None),
    ],
)
def test_a_path_is_taken_apart(path: str, place: Place | None) -> None:
    assert place_of(path) == place


@pytest.mark.parametrize(
    ("method", "path", "query", "verb"),
    [
        ("GET", "/api/v1/pods", "", "list"),
        ("GET", "/api/v1/pods", "watch=true", "watch"),
        ("GET", "/api/v1/namespaces/d/pods/a", "", "get"),
        ("POST", "/api/v1/namespaces/d/pods", "", "create"),
        ("DELETE", "/api/v1/namespaces/d/pods", "", "deletecollection"),
    ],
)
def test_a_request_has_a_verb(method: str, path: str, query: str, verb: str) -> None:
    target, asked = split_target(f"{path}?{query}")
    place = place_of(target)
    assert place is not None
    assert verb_of(method, place, asked) == verb


@pytest.mark.parametrize(("method", "name"), [("POST", "a"), ("PUT", ""), ("TRACE", "a")])
def test_a_method_that_means_nothing_is_refused(method: str, name: str) -> None:
    with pytest.raises(Failure) as refused:
        verb_of(method, Place("", "v1", "pods", "d", name), Query({}))
    assert refused.value.code == 405


def test_parameters_are_read_or_refused() -> None:
    query = Query({"limit": "x", "watch": "perhaps", "n": "5"})
    assert query.number("n") == 5
    with pytest.raises(Failure):
        query.number("limit")
    with pytest.raises(Failure):
        query.flag("watch")
