from __future__ import annotations

import aiohttp
import pytest

from cloudcore.apiserver.http.access import attributes_of
from cloudcore.apiserver.http.authz import Attributes
from cloudcore.apiserver.http.query import split_target
from protocol.objects.resourcepaths import parse_path, verb_of


@pytest.mark.parametrize(
    ("method", "target", "attributes"),
    [
        ("GET", "/api/v1/namespaces/shop", Attributes("get", "namespaces", "", "shop", "shop")),
        ("GET", "/api/v1/namespaces", Attributes("list", "namespaces")),
        ("POST", "/api/v1/namespaces", Attributes("create", "namespaces")),
        ("GET", "/api/v1/nodes/a", Attributes("get", "nodes", name="a")),
        (
            "PUT",
            "/apis/apps/v1/namespaces/shop/deployments/web/scale",
            Attributes("update", "deployments", "apps", "shop", "web", "scale"),
        ),
        (
            "GET",
            "/api/v1/namespaces/shop/secrets?fieldSelector=metadata.name%3Da",
            Attributes("list", "secrets", "", "shop", "a", field_selector="metadata.name=a"),
        ),
        (
            "GET",
            "/api/v1/secrets?watch=true&fieldSelector=metadata.name!%3Da",
            Attributes("watch", "secrets", field_selector="metadata.name!=a"),
        ),
        ("DELETE", "/api/v1/namespaces/shop/pods", Attributes("deletecollection", "pods", "", "shop")),
    ],
)
def test_what_a_request_would_do(method: str, target: str, attributes: Attributes) -> None:
    path, query = split_target(target)
    place = parse_path(path)
    assert place is not None
    verb = verb_of(method, place, watch="watch" in query.values)
    assert verb is not None
    assert attributes_of(place, query, verb) == attributes


async def test_documents_are_for_those_who_may_read_them(
    nobody: aiohttp.ClientSession, anonymous: aiohttp.ClientSession
) -> None:
    for path in ("/apis", "/api/v1", "/openapi/v3", "/version"):
        async with nobody.get(path) as response:
            assert response.status == 200, path
    async with nobody.get("/metrics") as response:
        assert response.status == 403
        assert (await response.json())["message"] == 'forbidden: User "someone" cannot get path "/metrics"'
    for path in ("/apis", "/openapi/v3", "/metrics"):
        async with anonymous.get(path) as response:
            assert response.status == 401, path
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        async with anonymous.get(path) as response:
            assert response.status == 200, path


async def test_a_bearer_token_that_nobody_issued_is_unauthorized(anonymous: aiohttp.ClientSession) -> None:
    async with anonymous.get("/api/v1/pods", headers={"Authorization": "Bearer x.y.z"}) as response:
        assert response.status == 401
        assert (await response.json())["reason"] == "Unauthorized"
