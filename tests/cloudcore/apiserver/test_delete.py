from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.delete import DeleteOptions, delete, delete_collection, read_options
from cloudcore.apiserver.list import ListOptions
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import BadRequest, Conflict, MethodNotAllowed, NotFound
from protocol.objects.keys import Revision, Uid
from tests.support.registries import (
    ManualClock,
    a_configmap,
    a_context,
    a_deployment,
    a_namespace,
    a_pod,
    target,
)


async def test_a_deleted_object_is_gone(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    last = await client.delete("configmaps", "default", "settings")
    assert last["data"] == stored["data"]
    with pytest.raises(NotFound):
        await client.get("configmaps", "default", "settings")
    with pytest.raises(NotFound, match='configmaps "settings" not found'):
        await client.delete("configmaps", "default", "settings")


async def test_preconditions_guard_a_deletion(client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    with pytest.raises(Conflict, match="UID in precondition: other"):
        await client.delete("configmaps", "default", "settings", uid=Uid("other"))
    with pytest.raises(Conflict, match="ResourceVersion in precondition: 1"):
        await client.delete("configmaps", "default", "settings", revision=Revision(1))
    metadata = stored["metadata"]
    revision = Revision(int(metadata["resourceVersion"]))
    await client.delete("configmaps", "default", "settings", uid=metadata["uid"], revision=revision)


async def test_a_pod_no_node_runs_goes_at_once(client: LocalClient) -> None:
    await client.create("pods", a_pod())
    await client.delete("pods", "default", "web")
    with pytest.raises(NotFound):
        await client.get("pods", "default", "web")


async def test_a_bound_pod_waits_for_its_node(client: LocalClient) -> None:
    await client.create("pods", a_pod(nodeName="edge-1", terminationGracePeriodSeconds=45))
    marked = await client.delete("pods", "default", "web")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 45
    assert marked["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:45Z"
    assert (await client.get("pods", "default", "web")) == marked
    await client.delete("pods", "default", "web", grace_s=0)
    with pytest.raises(NotFound):
        await client.get("pods", "default", "web")


async def test_a_second_deletion_can_only_bring_the_end_forward(client: LocalClient, clock: ManualClock) -> None:
    await client.create("pods", a_pod(nodeName="edge-1"))
    first = await client.delete("pods", "default", "web", grace_s=60)
    clock.now_s += 5
    assert await client.delete("pods", "default", "web", grace_s=90) == first
    sooner = await client.delete("pods", "default", "web", grace_s=10)
    assert sooner["metadata"]["deletionGracePeriodSeconds"] == 10
    assert sooner["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:10Z"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_finished_pod_goes_at_once(client: LocalClient, phase: str) -> None:
    await client.create("pods", a_pod(nodeName="edge-1"))
    await client.patch("pods", "default", "web", {"status": {"phase": phase}}, subresource="status")
    await client.delete("pods", "default", "web")
    with pytest.raises(NotFound):
        await client.get("pods", "default", "web")


async def test_finalizers_hold_an_object_until_the_last_is_removed(client: LocalClient) -> None:
    body = a_configmap()
    body["metadata"]["finalizers"] = ["example.com/a", "example.com/b"]
    await client.create("configmaps", body)
    held = await client.delete("configmaps", "default", "settings")
    assert held["metadata"]["deletionTimestamp"]
    held["metadata"]["finalizers"] = ["example.com/b"]
    held = await client.update("configmaps", held)
    held["metadata"]["finalizers"] = []
    last = await client.update("configmaps", held)
    assert last["metadata"]["uid"] == held["metadata"]["uid"]
    with pytest.raises(NotFound):
        await client.get("configmaps", "default", "settings")


async def test_a_pod_held_by_a_finalizer_and_its_node_needs_both_to_let_go(client: LocalClient) -> None:
    body = a_pod(nodeName="edge-1")
    body["metadata"]["finalizers"] = ["example.com/a"]
    await client.create("pods", body)
    await client.delete("pods", "default", "web")
    held = await client.delete("pods", "default", "web", grace_s=0)
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    await client.patch("pods", "default", "web", {"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        await client.get("pods", "default", "web")


async def test_an_object_that_is_going_keeps_its_deletion_time(client: LocalClient) -> None:
    body = a_configmap()
    body["metadata"]["finalizers"] = ["example.com/a"]
    await client.create("configmaps", body)
    held = await client.delete("configmaps", "default", "settings")
    del held["metadata"]["deletionTimestamp"]
    held["data"] = {"colour": "red"}
    updated = await client.update("configmaps", held)
    assert updated["metadata"]["deletionTimestamp"]
    assert updated["data"] == {"colour": "red"}


@pytest.mark.parametrize(
    ("propagation", "finalizers"),
    [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])],
)
async def test_the_propagation_policy_holds_the_owner(
    client: LocalClient, propagation: Any, finalizers: list[str]
) -> None:
    await client.create("deployments.apps", a_deployment())
    held = await client.delete("deployments.apps", "default", "web", propagation=propagation)
    assert held["metadata"]["finalizers"] == finalizers
    assert held["metadata"]["generation"] == 2
    await client.delete("deployments.apps", "default", "web", propagation="Background")
    with pytest.raises(NotFound):
        await client.get("deployments.apps", "default", "web")


async def test_a_namespace_terminates_until_it_is_finalized(client: LocalClient) -> None:
    await client.create("namespaces", a_namespace())
    going = await client.delete("namespaces", "", "shop")
    assert going["status"]["phase"] == "Terminating"
    going["spec"]["finalizers"] = []
    await client.update("namespaces", going, subresource="finalize")
    with pytest.raises(NotFound):
        await client.get("namespaces", "", "shop")


async def test_a_dry_run_deletes_nothing(registry: Registry, client: LocalClient) -> None:
    stored = await client.create("configmaps", a_configmap())
    deletion = await delete(registry, target(registry, "configmaps", "default", "settings"), a_context(dry_run=True))
    assert deletion.removed
    assert await client.get("configmaps", "default", "settings") == stored


async def test_a_deletion_says_whether_the_object_is_gone(registry: Registry, client: LocalClient) -> None:
    await client.create("pods", a_pod(nodeName="edge-1"))
    pod = target(registry, "pods", "default", "web")
    assert not (await delete(registry, pod, a_context())).removed
    assert (await delete(registry, pod, a_context(), DeleteOptions(grace_s=0))).removed


async def test_a_collection_is_deleted_by_selector(registry: Registry, client: LocalClient) -> None:
    for name, tier in (("a", "front"), ("b", "front"), ("c", "back")):
        body = a_configmap(name)
        body["metadata"]["labels"] = {"tier": tier}
        await client.create("configmaps", body)
    selected = ListOptions(label_selector="tier=front")
    configmaps = target(registry, "configmaps", "default")
    deletions = await delete_collection(registry, configmaps, a_context(), DeleteOptions(), selected)
    assert [deletion.record.key.name for deletion in deletions] == ["a", "b"]
    assert [body["metadata"]["name"] for body in await client.list("configmaps", "default")] == ["c"]


async def test_namespaces_cannot_be_deleted_as_a_collection(registry: Registry) -> None:
    with pytest.raises(MethodNotAllowed):
        await delete_collection(registry, target(registry, "namespaces"), a_context(), DeleteOptions(), ListOptions())


def test_delete_options_are_read_from_their_body() -> None:
    body = {
        "gracePeriodSeconds": 5,
        "propagationPolicy": "Orphan",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
    }
    assert read_options(body) == DeleteOptions(Uid("u"), Revision(7), 5, "Orphan")
    assert read_options({"orphanDependents": True}).propagation == "Orphan"
    assert read_options({}) == DeleteOptions()


@pytest.mark.parametrize(
    "body",
    [
        {"gracePeriodSeconds": "5"},
        {"gracePeriodSeconds": True},
        {"propagationPolicy": "Sideways"},
        {"preconditions": {"resourceVersion": "x"}},
        {"preconditions": "x"},
    ],
)
def test_malformed_delete_options_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read_options(body)
