"""The scheduler on a memory store and the in-process client, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import StorageUnavailable
from cloudcore.informers import Informers
from cloudcore.scheduler import Scheduler
from cloudcore.scheduler.podshape import shape_of
from cloudcore.store.memory import MemoryStore
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body, Uid
from tests.support.controllers import LoopClock
from tests.support.scheduling import node, pod, taint
from tests.support.volumes import CLAIMS, CLASSES, VOLUMES, claim, storage_class, volume
from tests.support.waiting import aeventually

pytestmark = pytest.mark.looptime


@dataclass
class Notes:
    """Records events in a list."""

    events: list[tuple[str, str, str, str]] = field(default_factory=list)

    def event(self, regarding: Body, type: str, reason: str, message: str) -> None:
        self.events.append((regarding["metadata"]["name"], type, reason, message))

    def about(self, name: str) -> list[tuple[str, str]]:
        return [(reason, message) for who, _, reason, message in self.events if who == name]


class FailingBinds(LocalClient):
    """A client whose next bindings fail."""

    failures = 0
    before_bind: Callable[[], Any] | None = None

    async def bind(self, namespace: str, name: str, node: str, *, uid: Uid) -> None:
        if self.before_bind is not None:
            await self.before_bind()
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable("the disk is full")
        await super().bind(namespace, name, node, uid=uid)


@dataclass
class World:
    client: FailingBinds
    scheduler: Scheduler
    notes: Notes

    async def add_node(self, body: Body) -> None:
        status = body.pop("status")
        await self.client.create("nodes", body)
        await self.set_node_status(body["metadata"]["name"], status)

    async def set_node_status(self, name: str, status: Body) -> None:
        await self.client.patch("nodes", "", name, {"status": status}, subresource="status")

    async def add_pod(self, name: str, **spec: Any) -> None:
        body = pod(name, **spec)
        del body["metadata"]["uid"]
        await self.client.create("pods", body)

    async def node_of(self, name: str) -> str:
        node_name: str = (await self.client.get("pods", "default", name))["spec"].get("nodeName", "")
        return node_name

    async def on_a_node(self, name: str) -> str:
        return str(await aeventually(lambda: self.node_of(name), what=f"{name} has no node"))

    async def condition(self, name: str) -> Body:
        status = (await self.client.get("pods", "default", name)).get("status") or {}
        return find_condition(status.get("conditions"), "PodScheduled") or {}

    async def told(self, name: str, message: str) -> None:
        async def is_told() -> bool:
            return (await self.condition(name)).get("message") == message

        await aeventually(is_told, what=f"{name} is not told {message!r}")


@asynccontextmanager
async def world(store: MemoryStore | None = None) -> AsyncIterator[World]:
    clock = LoopClock()
    store = store or MemoryStore()
    registry = Registry(store, clock=clock.wall, rng=Random(1))
    client = FailingBinds(registry)
    informers = Informers(store)
    notes = Notes()
    scheduler = Scheduler(client, informers, notes, clock, rng=Random(2))
    await bootstrap(registry)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part.run()) for part in (informers, scheduler)]
        yield World(client, scheduler, notes)
        for task in tasks:
            task.cancel()
    await store.close()


async def test_a_pod_gets_its_node_and_an_event() -> None:
    async with world() as w:
        await w.add_node(node("edge-1"))
        await w.add_node(node("edge-2"))
        await w.add_pod("web", nodeSelector={"kubernetes.io/hostname": "edge-2"})
        assert await w.on_a_node("web") == "edge-2"
        assert (await w.condition("web"))["status"] == "True"
        await aeventually(lambda: w.notes.about("web"))
        assert w.notes.about("web") == [("Scheduled", "Successfully assigned default/web to edge-2")]


async def test_a_pod_that_fits_nowhere_is_told_why_and_waits_for_a_node() -> None:
    async with world() as w:
        await w.add_node(node("edge-1", taints=[taint("dedicated", "gpu")]))
        await w.add_pod("web")
        message = "0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}."
        await w.told("web", message)
        condition = await w.condition("web")
        assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
        assert w.notes.about("web")[0] == ("FailedScheduling", message)
        assert w.scheduler.active_count == 0
        await w.add_node(node("edge-2"))
        assert await w.on_a_node("web") == "edge-2"


async def test_a_deleted_pod_makes_room() -> None:
    async with world() as w:
        await w.add_node(node("edge-1", pods="1"))
        await w.add_pod("first")
        await w.on_a_node("first")
        await w.add_pod("second")
        await w.told("second", "0/1 nodes are available: 1 Too many pods.")
        await w.client.delete("pods", "default", "first", grace_s=0)
        await w.on_a_node("second")


async def test_a_finished_pod_makes_room() -> None:
    async with world() as w:
        await w.add_node(node("edge-1", pods="1"))
        await w.add_pod("job")
        await w.on_a_node("job")
        await w.add_pod("second")
        await w.told("second", "0/1 nodes are available: 1 Too many pods.")
        await w.client.patch("pods", "default", "job", {"status": {"phase": "Succeeded"}}, subresource="status")
        await w.on_a_node("second")


async def test_a_node_that_grows_makes_room() -> None:
    async with world() as w:
        await w.add_node(node("edge-1", cpu="1"))
        await w.add_pod("web", requests={"cpu": "2"})
        await w.told("web", "0/1 nodes are available: 1 Insufficient cpu.")
        await w.set_node_status("edge-1", {"allocatable": {"cpu": "4"}})
        assert await w.on_a_node("web") == "edge-1"


async def test_a_failed_binding_is_taken_back_and_tried_again() -> None:
    async with world() as w:
        w.client.failures = 2
        await w.add_node(node("edge-1", pods="1"))
        await w.add_pod("web")
        assert await w.on_a_node("web") == "edge-1"
        assert w.client.failures == 0


async def test_a_pod_deleted_while_it_is_being_bound_takes_no_room() -> None:
    async with world() as w:
        await w.add_node(node("edge-1", pods="1"))
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            reached.set()
            await go_on.wait()

        w.client.before_bind = hold
        await w.add_pod("doomed")
        await reached.wait()
        await w.client.delete("pods", "default", "doomed", grace_s=0)
        w.client.before_bind = None
        go_on.set()
        await w.add_pod("next")
        assert await w.on_a_node("next") == "edge-1"
        assert [reason for reason, _ in w.notes.about("doomed")] == []


async def test_a_pod_that_somebody_else_binds_meanwhile_counts_where_it_is() -> None:
    async with world() as w:
        await w.add_node(node("edge-1", pods="1"))
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            reached.set()
            await go_on.wait()

        w.client.before_bind = hold
        await w.add_pod("snatched")
        await reached.wait()
        await w.add_node(node("edge-2", pods="1"))
        w.client.before_bind = None
        uid = Uid((await w.client.get("pods", "default", "snatched"))["metadata"]["uid"])
        await w.client.bind("default", "snatched", "edge-2", uid=uid)
        go_on.set()
        await w.add_pod("next")
        assert await w.on_a_node("next") == "edge-1"
        await w.add_pod("third")
        await w.told("third", "0/2 nodes are available: 2 Too many pods.")
        assert await w.node_of("snatched") == "edge-2"


async def test_pods_of_other_schedulers_are_left_alone_but_counted() -> None:
    async with world() as w:
        await w.add_node(node("edge-1", pods="1"))
        await w.add_pod("theirs", schedulerName="custom")
        body = await w.client.get("pods", "default", "theirs")
        await w.add_pod("ours")
        await w.on_a_node("ours")
        assert await w.node_of("theirs") == ""
        await w.client.delete("pods", "default", "ours", grace_s=0)
        await w.client.bind("default", "theirs", "edge-1", uid=Uid(body["metadata"]["uid"]))
        await w.add_pod("late")
        await w.told("late", "0/1 nodes are available: 1 Too many pods.")


async def test_after_a_restart_everything_stored_is_counted_and_queued() -> None:
    store = MemoryStore()
    async with world(store) as w:
        await w.add_node(node("edge-1", pods="2"))
        for i in range(4):
            await w.add_pod(str(i))
        await aeventually(lambda: len([e for e in w.notes.events if e[2] == "Scheduled"]) == 2)
    async with world(MemoryStore(store.disk)) as w:
        await w.set_node_status("edge-1", {"allocatable": {"pods": "3"}})
        await aeventually(lambda: len([e for e in w.notes.events if e[2] == "Scheduled"]) == 1)
        nodes = [await w.node_of(str(i)) for i in range(4)]
        assert sorted(nodes) == ["", "edge-1", "edge-1", "edge-1"]


async def test_a_pod_that_cannot_be_judged_stops_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as w:
        await w.add_node(node("edge-1"))

        def stumble(spec: Body, handlers: Any, tier: Any) -> Any:
            if spec.get("nodeSelector"):
                raise ZeroDivisionError
            return shape_of(spec, handlers, tier)

        monkeypatch.setattr("cloudcore.scheduler.cycle.shape_of", stumble)
        await w.add_pod("strange", nodeSelector={"kubernetes.io/hostname": "edge-1"})
        await w.add_pod("plain")
        await w.on_a_node("plain")
        assert await w.node_of("strange") == ""
        monkeypatch.undo()
        await w.on_a_node("strange")


async def test_a_client_that_stumbles_stops_nobody() -> None:
    async with world() as w:
        await w.add_node(node("edge-1"))
        stumbles = iter([True])

        async def stumble() -> None:
            if next(stumbles, False):
                raise ZeroDivisionError

        w.client.before_bind = stumble
        await w.add_pod("web")
        assert await w.on_a_node("web") == "edge-1"


async def test_a_pod_with_the_class_of_another_runtime_waits_until_the_class_changes() -> None:
    async with world() as w:
        await w.add_node(node("edge-1", runtimes="process"))
        await w.client.create("runtimeclasses.node.k8s.io", {"metadata": {"name": "boxed"}, "handler": "docker"})
        await w.add_pod("web", runtimeClassName="boxed")
        await w.told("web", '0/1 nodes are available: 1 node(s) didn\'t offer the runtime "docker".')
        await w.client.delete("runtimeclasses.node.k8s.io", "", "boxed")
        await w.client.create("runtimeclasses.node.k8s.io", {"metadata": {"name": "boxed"}, "handler": "process"})
        assert await w.on_a_node("web") == "edge-1"


async def test_a_deleted_node_gets_no_more_pods() -> None:
    async with world() as w:
        await w.add_node(node("edge-1"))
        await w.add_node(node("edge-2"))
        await w.client.delete("nodes", "", "edge-1")
        for i in range(4):
            await w.add_pod(str(i))
        assert {await w.on_a_node(str(i)) for i in range(4)} == {"edge-2"}


async def test_many_pods_spread_evenly() -> None:
    async with world() as w:
        for i in range(5):
            await w.add_node(node(f"edge-{i}"))
        await asyncio.gather(*(w.add_pod(f"web-{i}", requests={"cpu": "100m"}) for i in range(50)))
        nodes = [await w.on_a_node(f"web-{i}") for i in range(50)]
        assert sorted(nodes.count(f"edge-{i}") for i in range(5)) == [10] * 5


async def test_explain_answers_for_any_pod() -> None:
    async with world() as w:
        await w.add_node(node("edge-1"))
        await w.add_pod("web")
        await w.on_a_node("web")
        explanation = w.scheduler.explain(pod("what-if", nodeSelector={"zone": "x"}))
        assert explanation.reasons == {"node(s) didn't match Pod's node affinity/selector": 1}


async def test_a_pod_goes_where_the_volume_of_its_claim_is() -> None:
    async with world() as w:
        for name in ("edge-1", "edge-2", "edge-3"):
            await w.add_node(node(name))
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
        await w.add_pod("web", volumes=volumes)
        await w.told("web", '0/3 nodes are available: persistentvolumeclaim "data" not found.')
        await w.client.create(CLAIMS, claim())
        await w.told("web", "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
        await w.client.create(VOLUMES, volume(node="edge-2"))
        bound = {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}
        await w.client.patch(CLAIMS, "default", "data", {"metadata": bound, "spec": {"volumeName": "pv-1"}})
        assert await w.on_a_node("web") == "edge-2"


async def test_the_volume_of_a_claim_on_a_node_that_is_full_is_no_way_out() -> None:
    async with world() as w:
        await w.add_node(node("edge-1"))
        await w.client.create(VOLUMES, volume(node="edge-2"))
        bound = {"pv.kubernetes.io/bind-completed": "yes"}
        await w.client.create(CLAIMS, claim(annotations=bound, volumeName="pv-1"))
        await w.add_pod("web", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
        await w.told("web", "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity.")


async def test_a_claim_that_waits_for_its_pod_is_told_the_node_and_then_the_pod_is_bound() -> None:
    async with world() as w:
        for name in ("edge-1", "edge-2"):
            await w.add_node(node(name))
        await w.client.create(CLASSES, storage_class("local", volumeBindingMode="WaitForFirstConsumer"))
        await w.client.create(CLAIMS, claim(storageClassName="local"))
        await w.add_pod("web", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
        await w.told("web", "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.")
        await w.client.create(VOLUMES, volume(node="edge-2", storageClassName="local"))
        await w.client.patch(VOLUMES, "", "pv-1", {"status": {"phase": "Available"}}, subresource="status")

        async def chosen() -> str:
            notes = (await w.client.get(CLAIMS, "default", "data"))["metadata"].get("annotations") or {}
            return str(notes.get("volume.kubernetes.io/selected-node", ""))

        assert await aeventually(chosen) == "edge-2"
        assert await w.node_of("web") == ""
        bound = {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}
        await w.client.patch(CLAIMS, "default", "data", {"metadata": bound, "spec": {"volumeName": "pv-1"}})
        assert await w.on_a_node("web") == "edge-2"


async def test_a_claim_for_one_pod_is_one_pods() -> None:
    async with world() as w:
        await w.add_node(node("edge-1"))
        await w.client.create(VOLUMES, volume(node="edge-1"))
        bound = {"pv.kubernetes.io/bind-completed": "yes"}
        await w.client.create(CLAIMS, claim(annotations=bound, volumeName="pv-1", accessModes=["ReadWriteOncePod"]))
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
        await w.add_pod("first", volumes=volumes)
        assert await w.on_a_node("first") == "edge-1"
        await w.add_pod("second", volumes=volumes)
        await aeventually(lambda: w.notes.about("second"))
        assert "ReadWriteOncePod access mode" in (w.notes.about("second"))[0][1]
        await w.client.delete("pods", "default", "first", grace_s=0)
        assert await w.on_a_node("second") == "edge-1"
