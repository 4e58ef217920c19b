from __future__ import annotations

import aiohttp
import pytest

from cloudcore.apiserver.http import discovery
from cloudcore.apiserver.kinds import builtin_kinds
from cloudcore.errors import NotFound

KINDS = tuple(builtin_kinds())


def test_the_core_group_is_listed_apart() -> None:
    assert discovery.api_versions("h:1")["versions"] == ["v1"]
    names = [group["name"] for group in discovery.group_list(KINDS)["groups"]]
    assert "" not in names
    assert {"apps", "coordination.k8s.io", "edge.aiokubeedge.io"} <= set(names)


def test_a_group_prefers_its_first_version() -> None:
    assert discovery.group(KINDS, "apps")["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}


@pytest.mark.parametrize("name", ["", "none"])
def test_a_group_that_is_not_there(name: str) -> None:
    with pytest.raises(NotFound):
        discovery.group(KINDS, name)


def test_resources_come_with_their_subresources() -> None:
    document = discovery.resource_list(KINDS, "apps", "v1")
    entries = {entry["name"]: entry for entry in document["resources"]}
    assert document["groupVersion"] == "apps/v1"
    assert entries["deployments"]["shortNames"] == ["deploy"]
    assert entries["deployments/scale"]["kind"] == "Scale"
    assert (entries["deployments/scale"]["group"], entries["deployments/scale"]["version"]) == ("autoscaling", "v1")
    with pytest.raises(NotFound):
        discovery.resource_list(KINDS, "apps", "v9")


def test_the_aggregated_document_holds_the_same() -> None:
    core = discovery.aggregated(KINDS, core=True, version="v2")
    assert core["apiVersion"] == "apidiscovery.k8s.io/v2"
    assert len(core["items"]) == 1
    pods = next(r for r in core["items"][0]["versions"][0]["resources"] if r["resource"] == "pods")
    assert (pods["scope"], pods["singularResource"], pods["shortNames"]) == ("Namespaced", "pod", ["po"])
    assert {"status", "binding", "eviction"} <= {sub["subresource"] for sub in pods["subresources"]}
    others = discovery.aggregated(KINDS, core=False, version="v2beta1")
    assert all(item["metadata"]["name"] for item in others["items"])


async def test_documents_over_http(admin: aiohttp.ClientSession) -> None:
    for path, kind in (
        ("/api", "APIVersions"),
        ("/apis", "APIGroupList"),
        ("/apis/apps", "APIGroup"),
        ("/apis/apps/v1", "APIResourceList"),
        ("/api/v1", "APIResourceList"),
    ):
        async with admin.get(path) as response:
            assert (await response.json())["kind"] == kind
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    async with admin.get("/apis", headers={"Accept": accept}) as response:
        assert response.headers["Content-Type"] == accept
        assert (await response.json())["kind"] == "APIGroupDiscoveryList"
    async with admin.get("/") as response:
        assert "/apis/apps/v1" in (await response.json())["paths"]
    async with admin.get("/version") as response:
        assert "+aiokubeedge" in (await response.json())["gitVersion"]
