from __future__ import annotations

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.errors import Forbidden, NotFound
from tests.support.registries import a_configmap, a_namespace, a_pod


async def test_nothing_is_made_in_a_namespace_that_is_not_there(client: LocalClient) -> None:
    body = a_configmap()
    body["metadata"]["namespace"] = "shop"
    with pytest.raises(NotFound, match='namespaces "shop" not found'):
        await client.create("configmaps", body)
    await client.create("namespaces", a_namespace())
    await client.create("configmaps", body)


async def test_nothing_is_made_in_a_namespace_that_is_going(client: LocalClient) -> None:
    await client.create("namespaces", a_namespace())
    body = a_configmap()
    body["metadata"]["namespace"] = "shop"
    stored = await client.create("configmaps", body)
    await client.delete("namespaces", "", "shop")
    body["metadata"]["name"] = "late"
    with pytest.raises(Forbidden, match="because it is being terminated") as caught:
        await client.create("configmaps", body)
    assert [cause.reason for cause in caught.value.causes] == ["NamespaceTerminating"]
    stored["data"] = {"changed": "still"}
    assert (await client.update("configmaps", stored))["data"] == {"changed": "still"}


async def test_a_namespace_made_again_is_open_again(client: LocalClient) -> None:
    body = a_configmap()
    body["metadata"]["namespace"] = "shop"
    going = await client.create("namespaces", a_namespace())
    await client.delete("namespaces", "", "shop")
    with pytest.raises(Forbidden):
        await client.create("configmaps", body)
    going["metadata"].pop("resourceVersion")
    going["spec"]["finalizers"] = []
    await client.update("namespaces", going, subresource="finalize")
    with pytest.raises(NotFound):
        await client.create("configmaps", body)
    await client.create("namespaces", a_namespace())
    await client.create("configmaps", body)


async def test_cluster_scoped_objects_need_no_namespace(client: LocalClient) -> None:
    assert (await client.create("nodes", {"metadata": {"name": "edge-1"}}))["kind"] == "Node"


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_the_systems_namespaces_stay(client: LocalClient, name: str) -> None:
    with pytest.raises(Forbidden, match="this namespace may not be deleted"):
        await client.delete("namespaces", "", name)
    assert (await client.get("namespaces", "", name))["status"]["phase"] == "Active"
    await client.create("pods", a_pod())
