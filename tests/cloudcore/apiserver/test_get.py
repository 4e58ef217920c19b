from __future__ import annotations

import pytest

from cloudcore.apiserver.get import get
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import MethodNotAllowed, NotFound
from protocol.objects.keys import Body
from protocol.objects.resources import POD_METRICS
from tests.support.registries import a_configmap, a_deployment, a_pod, target

LINKS = "nodelinks.edge.aiokubeedge.io"


async def test_an_object_is_read_as_it_was_written(registry: Registry, client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    record = await get(registry, target(registry, "configmaps", "default", "settings"))
    assert record.decode() == stored


async def test_the_status_subresource_reads_as_the_object(registry: Registry, client: LocalClient) -> None:
    stored = await client.create("pods", a_pod())
    record = await get(registry, target(registry, "pods", "default", "web", "status"))
    assert record.decode() == stored


async def test_the_scale_subresource_reads_as_a_scale(registry: Registry, client: LocalClient) -> None:
    await client.create("deployments.apps", a_deployment(replicas=3))
    record = await get(registry, target(registry, "deployments.apps", "default", "web", "scale"))
    scale = record.decode()
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 3})


async def test_what_is_not_there_is_not_found(registry: Registry) -> None:
    with pytest.raises(NotFound, match='pods "web" not found'):
        await get(registry, target(registry, "pods", "default", "web"))


async def test_an_action_cannot_be_read(registry: Registry, client: LocalClient) -> None:
    await client.create("pods", a_pod())
    with pytest.raises(MethodNotAllowed):
        await get(registry, target(registry, "pods", "default", "web", "binding"))
    with pytest.raises(NotFound):
        await get(registry, target(registry, "pods", "default", "web", "nonsense"))


async def test_a_virtual_object_comes_from_its_provider(registry: Registry) -> None:
    registry.provide(LINKS, lambda: [{"metadata": {"name": "edge-1"}, "status": {"connected": True}}])
    body = (await get(registry, target(registry, LINKS, name="edge-1"))).decode()
    assert body["apiVersion"] == "edge.aiokubeedge.io/v1alpha1"
    assert body["kind"] == "NodeLink"
    assert body["status"] == {"connected": True}
    with pytest.raises(NotFound, match=r'nodelinks\.edge\.aiokubeedge\.io "edge-2" not found'):
        await get(registry, target(registry, LINKS, name="edge-2"))


async def test_virtual_objects_of_one_name_are_told_apart_by_namespace(registry: Registry) -> None:
    places = ("blue", "green")
    asked: list[tuple[str, str]] = []

    def provider(namespace: str, name: str) -> list[Body]:
        asked.append((namespace, name))
        return [{"metadata": {"name": "web", "namespace": place}} for place in places]

    registry.provide_namespaced(POD_METRICS, provider)
    for place in places:
        record = await get(registry, target(registry, POD_METRICS, place, "web"))
        assert record.key.namespace == place
    with pytest.raises(NotFound):
        await get(registry, target(registry, POD_METRICS, "red", "web"))
    assert asked == [("blue", "web"), ("green", "web"), ("red", "web")]


def test_only_a_virtual_kind_takes_a_provider(registry: Registry) -> None:
    with pytest.raises(NotFound):
        registry.provide("pods", list)
