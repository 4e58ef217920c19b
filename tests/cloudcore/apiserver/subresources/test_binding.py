from __future__ import annotations

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.actions import create_subresource
from cloudcore.errors import Conflict, Invalid, MethodNotAllowed, NotFound
from protocol.objects.keys import Uid
from tests.support.registries import START, a_context, a_pod, target


async def test_a_pod_is_bound_once(client: LocalClient) -> None:
    pod = await client.create("pods", a_pod())
    await client.bind("default", "web", "edge-1", uid=pod["metadata"]["uid"])
    bound = await client.get("pods", "default", "web")
    assert bound["spec"]["nodeName"] == "edge-1"
    assert bound["status"]["conditions"] == [{"type": "PodScheduled", "status": "True", "lastTransitionTime": START}]
    with pytest.raises(Conflict, match='pod web is already assigned to node "edge-1"'):
        await client.bind("default", "web", "edge-2", uid=pod["metadata"]["uid"])


async def test_another_uid_is_not_bound(client: LocalClient) -> None:
    await client.create("pods", a_pod())
    with pytest.raises(Conflict, match="UID in precondition: old"):
        await client.bind("default", "web", "edge-1", uid=Uid("old"))
    assert "nodeName" not in (await client.get("pods", "default", "web"))["spec"]


async def test_a_pod_that_is_going_is_not_bound(client: LocalClient) -> None:
    body = a_pod()
    body["metadata"]["finalizers"] = ["example.com/a"]
    pod = await client.create("pods", body)
    await client.delete("pods", "default", "web")
    with pytest.raises(Conflict, match="is being deleted"):
        await client.bind("default", "web", "edge-1", uid=pod["metadata"]["uid"])


async def test_a_gated_pod_is_not_bound(client: LocalClient) -> None:
    pod = await client.create("pods", a_pod(schedulingGates=[{"name": "example.com/wait"}]))
    with pytest.raises(Conflict, match="schedulingGates"):
        await client.bind("default", "web", "edge-1", uid=pod["metadata"]["uid"])


async def test_a_missing_pod_is_not_bound(client: LocalClient) -> None:
    with pytest.raises(NotFound):
        await client.bind("default", "web", "edge-1", uid=Uid("x"))


async def test_a_binding_is_created_through_the_api(registry: Registry, client: LocalClient) -> None:
    await client.create("pods", a_pod())
    binding = target(registry, "pods", "default", "web", "binding")
    with pytest.raises(Invalid, match=r"target\.name: Required value"):
        await create_subresource(registry, binding, {"metadata": {}}, a_context())
    body = {"metadata": {"annotations": {"a": "b"}}, "target": {"kind": "Node", "name": "edge-1"}}
    await create_subresource(registry, binding, body, a_context(dry_run=True))
    assert "nodeName" not in (await client.get("pods", "default", "web"))["spec"]
    await create_subresource(registry, binding, body, a_context())
    pod = await client.get("pods", "default", "web")
    assert (pod["spec"]["nodeName"], pod["metadata"]["annotations"]) == ("edge-1", {"a": "b"})


async def test_only_actions_are_created(registry: Registry) -> None:
    with pytest.raises(MethodNotAllowed):
        await create_subresource(registry, target(registry, "pods", "default", "web", "status"), {}, a_context())
    with pytest.raises(NotFound):
        await create_subresource(registry, target(registry, "pods", "default", "web", "dance"), {}, a_context())
