from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects.resourcepaths import ResourcePath, parse_path, verb_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1", ResourcePath("", "v1")),
        ("/api/v1/nodes", ResourcePath("", "v1", "nodes")),
        ("/api/v1/nodes/n", ResourcePath("", "v1", "nodes", name="n")),
        ("/api/v1/pods/", ResourcePath("", "v1", "pods")),
        ("/api/v1/namespaces", ResourcePath("", "v1", "namespaces")),
        ("/api/v1/namespaces/d", ResourcePath("", "v1", "namespaces", name="d")),
        ("/api/v1/namespaces/d/status", ResourcePath("", "v1", "namespaces", name="d", subresource="status")),
        ("/api/v1/namespaces/d/finalize", ResourcePath("", "v1", "namespaces", name="d", subresource="finalize")),
        ("/api/v1/namespaces/d/pods", ResourcePath("", "v1", "pods", "d")),
        ("/api/v1/namespaces/d/pods/p/log", ResourcePath("", "v1", "pods", "d", "p", "log")),
        ("/api/v1/namespaces/d/pods/p/proxy/a/b", ResourcePath("", "v1", "pods", "d", "p", "proxy", tail="a/b")),
        ("/apis/apps/v1", ResourcePath("apps", "v1")),
        (
            "/apis/apps/v1/namespaces/d/deployments/w/scale",
            ResourcePath("apps", "v1", "deployments", "d", "w", "scale"),
        ),
        ("/apis/node.k8s.io/v1/runtimeclasses/x", ResourcePath("node.k8s.io", "v1", "runtimeclasses", name="x")),
        ("/api/v1/watch/namespaces/d/pods", ResourcePath("", "v1", "pods", "d", watch=True)),
    ],
)
def test_a_path_is_taken_apart(path: str, expected: ResourcePath) -> None:
    assert parse_path(path) == expected


@pytest.mark.parametrize("path", ["", "/", "/api", "/apis", "/apis/apps", "/version", "/openapi/v3", "/healthz"])
def test_what_is_not_below_a_group_version(path: str) -> None:
    assert parse_path(path) is None


@given(st.text())
def test_any_path_names_a_resource_or_nothing(path: str) -> None:
    found = parse_path("/api/" + path)
    assert found is None or (found.group == "" and found.version and (found.resource or not found.name))


def test_the_group_resource_is_the_stores_name() -> None:
    assert ResourcePath("apps", "v1", "deployments").group_resource == "deployments.apps"
    assert ResourcePath("", "v1", "pods").group_resource == "pods"


COLLECTION = ResourcePath("", "v1", "pods", "d")
ITEM = ResourcePath("", "v1", "pods", "d", "p")
STATUS = ResourcePath("", "v1", "pods", "d", "p", "status")


@pytest.mark.parametrize(
    ("method", "path", "watch", "verb"),
    [
        ("GET", COLLECTION, False, "list"),
        ("GET", COLLECTION, True, "watch"),
        ("GET", ITEM, False, "get"),
        ("HEAD", ITEM, False, "get"),
        ("GET", ITEM, True, "watch"),
        ("GET", STATUS, True, "get"),
        ("POST", COLLECTION, False, "create"),
        ("POST", STATUS, False, "create"),
        ("PUT", ITEM, False, "update"),
        ("PATCH", ITEM, False, "patch"),
        ("PATCH", STATUS, False, "patch"),
        ("DELETE", ITEM, False, "delete"),
        ("DELETE", COLLECTION, False, "deletecollection"),
    ],
)
def test_method_and_path_make_the_verb(method: str, path: ResourcePath, watch: bool, verb: str) -> None:
    assert verb_of(method, path, watch=watch) == verb


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ITEM), ("PUT", COLLECTION), ("PATCH", COLLECTION), ("OPTIONS", ITEM), ("BREW", ITEM), ("TRACE", ITEM)],
)
def test_methods_that_mean_nothing_there(method: str, path: ResourcePath) -> None:
    assert verb_of(method, path, watch=False) is None
