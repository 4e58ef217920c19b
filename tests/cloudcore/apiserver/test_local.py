from __future__ import annotations

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.client import Client
from tests.support.registries import a_configmap, a_deployment, a_pod


def test_it_is_the_client_that_the_clouds_parts_write_through(registry: Registry) -> None:
    client: Client = LocalClient(registry)
    assert client is not None


async def test_what_it_returns_is_the_callers(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    stored["data"]["colour"] = "red"
    (listed,) = await client.list("configmaps")
    assert listed["data"] == {"colour": "blue"}
    listed["data"]["colour"] = "green"
    assert (await client.get("configmaps", "default", "settings"))["data"] == {"colour": "blue"}


async def test_an_update_leaves_its_body_alone(client: LocalClient) -> None:
    await client.create("deployments.apps", a_deployment())
    body = a_deployment(replicas=3)
    await client.update("deployments.apps", body)
    assert body == a_deployment(replicas=3)


async def test_a_patch_leaves_its_description_alone(client: LocalClient) -> None:
    await client.create("pods", a_pod())
    change = {"metadata": {"annotations": {"a": "b"}}}
    patched = await client.patch("pods", "default", "web", change, kind="strategic")
    assert patched["metadata"]["annotations"] == {"a": "b"}
    patched["metadata"]["annotations"]["a"] = "c"
    assert change == {"metadata": {"annotations": {"a": "b"}}}


async def test_it_lists_by_namespace_and_selectors(client: LocalClient) -> None:
    await client.create("pods", a_pod("a", nodeName="edge-1"))
    elsewhere = a_pod("b", nodeName="edge-1")
    elsewhere["metadata"]["namespace"] = "shop"
    await client.create("pods", elsewhere)
    on_node = {"label_selector": "app=web", "field_selector": "spec.nodeName=edge-1"}
    assert [pod["metadata"]["name"] for pod in await client.list("pods", **on_node)] == ["a", "b"]
    assert [pod["metadata"]["name"] for pod in await client.list("pods", "shop", **on_node)] == ["b"]


async def test_unknown_fields_are_dropped_in_silence(client: LocalClient) -> None:
    stored = await client.create("pods", a_pod() | {"nonsense": 1})
    assert "nonsense" not in stored
