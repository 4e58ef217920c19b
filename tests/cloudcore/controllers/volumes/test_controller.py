"""Binder, phases, protection and ephemeral claims, on a cloud in memory and virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from cloudcore.errors import NotFound
from protocol.objects.keys import Body
from tests.support.controllers import Cloud, cloud
from tests.support.volumes import CLAIMS, CLASSES, VOLUMES, claim, storage_class, volume

SELECTED = "volume.kubernetes.io/selected-node"


async def create(c: Cloud, *bodies: Body) -> None:
    kinds = {"PersistentVolumeClaim": CLAIMS, "PersistentVolume": VOLUMES, "StorageClass": CLASSES, "Node": "nodes"}
    for body in bodies:
        await c.client.create(kinds[body["kind"]], body)
    await c.settle()


async def the_claim(c: Cloud, name: str = "data") -> Body:
    return await c.client.get(CLAIMS, "default", name)


async def the_volume(c: Cloud, name: str = "pv-1") -> Body:
    return await c.client.get(VOLUMES, "", name)


async def phases(c: Cloud) -> tuple[str, str]:
    return (await the_claim(c))["status"]["phase"], (await the_volume(c))["status"]["phase"]


async def choose(c: Cloud, node: str) -> None:
    await c.client.patch(CLAIMS, "default", "data", {"metadata": {"annotations": {SELECTED: node}}})
    await c.settle()


async def events(c: Cloud, reason: str) -> list[str]:
    return [event["message"] for event in await c.client.list("events") if event["reason"] == reason]


def a_node(name: str) -> Body:
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}


def a_pod(**spec: Any) -> Body:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    body = {"containers": [{"name": "main", "image": "i:1"}], "volumes": volumes, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"}, "spec": body}


async def test_a_claim_is_bound_to_a_volume_and_both_say_so() -> None:
    async with cloud() as c:
        await create(c, volume(size="2Gi"), claim())
        assert await phases(c) == ("Bound", "Bound")
        bound, taken = await the_claim(c), await the_volume(c)
        assert bound["spec"]["volumeName"] == "pv-1"
        assert bound["status"]["capacity"] == {"storage": "2Gi"}
        assert bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
        assert taken["spec"]["claimRef"]["uid"] == bound["metadata"]["uid"]
        assert taken["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] == "yes"


async def test_a_claim_waits_for_its_volume_and_says_so() -> None:
    async with cloud() as c:
        await create(c, claim())
        assert (await the_claim(c))["status"]["phase"] == "Pending"
        assert await events(c, "FailedBinding") == [
            "no persistent volumes available for this claim and no storage class is set"
        ]
        await create(c, volume())
        assert await phases(c) == ("Bound", "Bound")


async def test_two_claims_never_share_a_volume() -> None:
    async with cloud() as c:
        await create(c, volume(), claim("data"), claim("more"))
        found = [(await the_claim(c, name))["status"]["phase"] for name in ("data", "more")]
        assert found == ["Bound", "Pending"]


async def test_a_claim_that_names_its_volume_gets_that_or_none() -> None:
    async with cloud() as c:
        await create(c, volume(size="5Gi"), volume("small"), claim(volumeName="pv-1"))
        assert await phases(c) == ("Bound", "Bound")
        await create(c, claim("greedy", size="9Gi", volumeName="small"))
        assert (await the_claim(c, "greedy"))["status"]["phase"] == "Pending"
        assert await events(c, "VolumeMismatch") == [
            'Cannot bind to requested volume "small": requested PV is too small'
        ]


@pytest.mark.parametrize(("policy", "phase"), [("Retain", "Released"), ("Delete", "Failed"), ("Recycle", "Failed")])
async def test_a_volume_whose_claim_has_gone_is_given_back_by_its_policy(policy: str, phase: str) -> None:
    async with cloud() as c:
        await create(c, volume(persistentVolumeReclaimPolicy=policy), claim())
        await c.client.delete(CLAIMS, "default", "data")
        await c.settle()
        with pytest.raises(NotFound):
            await the_claim(c)
        left = await the_volume(c)
        assert left["status"]["phase"] == phase
        if policy == "Delete":
            assert "no deletable volume plugin matched" in left["status"]["message"]
        # Whoever comes next does not get what the last one left there.
        await create(c, claim())
        assert (await the_claim(c))["status"]["phase"] == "Pending"


async def test_a_claim_whose_volume_is_gone_is_lost() -> None:
    async with cloud() as c:
        await create(c, volume(), claim())
        await c.client.patch(VOLUMES, "", "pv-1", {"metadata": {"finalizers": None}})
        await c.client.delete(VOLUMES, "", "pv-1")
        await c.settle()
        assert (await the_claim(c))["status"]["phase"] == "Lost"
        assert len(await events(c, "ClaimLost")) == 1


async def test_what_is_in_use_is_not_deleted_before_that_has_ended() -> None:
    async with cloud() as c:
        await create(c, volume(), claim())
        await c.client.create("nodes", a_node("edge-1"))
        await c.client.create("pods", a_pod(nodeName="edge-1"))
        await c.client.delete(CLAIMS, "default", "data")
        await c.client.delete(VOLUMES, "", "pv-1")
        await c.settle()
        assert (await the_claim(c))["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
        assert (await the_volume(c))["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
        await c.client.delete("pods", "default", "web", grace_s=0)
        await c.settle()
        assert await c.client.list(CLAIMS) == []
        assert await c.client.list(VOLUMES) == []


async def test_a_claim_takes_the_default_class_at_creation_or_when_there_is_one() -> None:
    async with cloud() as c:
        await create(c, claim(storageClassName=None))
        assert "storageClassName" not in (await the_claim(c))["spec"]
        await create(c, storage_class("local", default=True), storage_class("other"))
        assert (await the_claim(c))["spec"]["storageClassName"] == "local"
        await create(c, claim("later", storageClassName=None), claim("none"))
        assert (await the_claim(c, "later"))["spec"]["storageClassName"] == "local"
        assert (await the_claim(c, "none"))["spec"]["storageClassName"] == ""


class TestWaitingForAPod:
    CLASS = storage_class("local", volumeBindingMode="WaitForFirstConsumer")

    async def test_a_claim_is_bound_where_its_pod_goes(self) -> None:
        async with cloud() as c:
            there = volume("there", node="edge-2", storageClassName="local")
            here = volume(node="edge-1", size="3Gi", storageClassName="local")
            await create(c, self.CLASS, a_node("edge-1"), there, here, claim(storageClassName="local"))
            assert await phases(c) == ("Pending", "Available")
            assert await events(c, "WaitForFirstConsumer")
            await choose(c, "edge-1")
            assert await phases(c) == ("Bound", "Bound")
            assert (await the_volume(c, "there"))["status"]["phase"] == "Available"

    async def test_a_node_without_a_volume_is_taken_back(self) -> None:
        async with cloud() as c:
            await create(c, self.CLASS, a_node("edge-1"), claim(storageClassName="local"))
            await choose(c, "edge-1")
            waiting = await the_claim(c)
            assert waiting["status"]["phase"] == "Pending"
            assert SELECTED not in (waiting["metadata"].get("annotations") or {})

    async def test_a_provisioner_outside_is_asked(self) -> None:
        async with cloud() as c:
            made_by = storage_class("fast", provisioner="disks.example.com", volumeBindingMode="WaitForFirstConsumer")
            await create(c, made_by, a_node("edge-1"), claim(storageClassName="fast"))
            name = "volume.kubernetes.io/storage-provisioner"
            assert name not in ((await the_claim(c))["metadata"].get("annotations") or {})
            await choose(c, "edge-1")
            assert (await the_claim(c))["metadata"]["annotations"][name] == "disks.example.com"
            uid = (await the_claim(c))["metadata"]["uid"]
            reference = {"namespace": "default", "name": "data", "uid": uid}
            await create(c, volume(node="edge-1", storageClassName="fast", claimRef=reference))
            assert await phases(c) == ("Bound", "Bound")


async def test_an_ephemeral_volumes_claim_is_made_and_goes_with_the_pod() -> None:
    async with cloud() as c:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": claim()["spec"]}
        volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
        await c.client.create("pods", a_pod(volumes=volumes))
        await create(c, volume())
        made = await the_claim(c, "web-scratch")
        assert made["metadata"]["labels"] == {"a": "b"}
        assert made["status"]["phase"] == "Bound"
        await c.client.delete("pods", "default", "web", grace_s=0)
        await c.settle()
        assert await c.client.list(CLAIMS) == []


async def test_a_volume_that_a_claim_did_not_take_is_free_again() -> None:
    async with cloud() as c:
        await create(c, volume(size="5Gi"), volume("small"), claim())
        bound = await the_claim(c)
        assert bound["spec"]["volumeName"] == "small"
        # The binder died after it had given the claim one volume, and gave it another when it came back.
        reference = {"namespace": "default", "name": "data", "uid": bound["metadata"]["uid"]}
        notes = {"pv.kubernetes.io/bound-by-controller": "yes"}
        await c.client.patch(VOLUMES, "", "pv-1", {"metadata": {"annotations": notes}, "spec": {"claimRef": reference}})
        await c.settle()
        free = await the_volume(c)
        assert "claimRef" not in free["spec"]
        assert free["status"]["phase"] == "Available"
