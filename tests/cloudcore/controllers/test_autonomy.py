from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.controllers.autonomy import AutonomyController, plan
from cloudcore.controllers.runtime import Context, Controller
from cloudcore.events import EventRecorder
from cloudcore.informers import Informers, ReadYourWrites
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import Body
from protocol.objects.wellknown import EDGE_ROLE, LOST_AFTER, NOT_READY, ON_DISCONNECT, UNREACHABLE
from tests.support.controllers import LoopClock


def toleration(taint: str, seconds: int | None = None) -> Body:
    body: Body = {"key": taint, "operator": "Exists", "effect": "NoExecute"}
    return body if seconds is None else {**body, "tolerationSeconds": seconds}


FOREVER = [toleration(NOT_READY), toleration(UNREACHABLE)]
ADMISSIONS = [toleration(NOT_READY, 300), toleration(UNREACHABLE, 300)]


def pod(*tolerations: Body, **annotations: str) -> Body:
    return {
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"nodeName": "e", "tolerations": list(tolerations)},
    }


def test_what_admission_gives_becomes_for_ever() -> None:
    assert plan(pod(*ADMISSIONS)) == FOREVER
    assert plan(pod()) == FOREVER
    assert plan(pod(*FOREVER)) is None


def test_what_a_pod_states_itself_stands() -> None:
    own = [toleration(NOT_READY, 60), {"operator": "Exists"}]
    assert plan(pod(*own)) is None
    assert plan(pod(toleration(NOT_READY, 60))) == [toleration(NOT_READY, 60), toleration(UNREACHABLE)]


@pytest.mark.parametrize(("after", "seconds"), [("90s", 90), ("5m", 300), ("soon", 300), ("", 300)])
def test_a_pod_that_is_to_be_replaced_has_its_time(after: str, seconds: int) -> None:
    policy: dict[str, Any] = {ON_DISCONNECT: "replace"} | ({LOST_AFTER: after} if after else {})
    expected = [toleration(NOT_READY, seconds), toleration(UNREACHABLE, seconds)]
    assert (plan(pod(*ADMISSIONS, **policy)) or ADMISSIONS) == expected


@pytest.mark.looptime
async def test_pods_on_edge_nodes_are_patched_and_others_left_alone() -> None:
    clock, store = LoopClock(), MemoryStore()
    registry = Registry(store, clock=clock.wall)
    await bootstrap(registry)
    client, informers = LocalClient(registry), Informers(store)
    context = Context(
        ReadYourWrites(client, informers), informers, EventRecorder(client, clock, "test"), clock, Random(1)
    )
    controller = Controller(AutonomyController(context), informers, Random(1))
    for name in ("edge", "rack", "late"):
        await client.create("nodes", {"metadata": {"name": name, "labels": {EDGE_ROLE: ""} if name == "edge" else {}}})
        spec = {"nodeName": name, "tolerations": ADMISSIONS, "containers": [{"name": "c", "image": "i"}]}
        await client.create("pods", {"metadata": {"name": f"on-{name}", "namespace": "default"}, "spec": spec})
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(informers.run()), group.create_task(controller.run())]
        await asyncio.sleep(1.0)
        await client.patch("nodes", "", "late", {"metadata": {"labels": {EDGE_ROLE: ""}}})
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()
    found = {body["metadata"]["name"]: body["spec"]["tolerations"] for body in await client.list("pods")}
    assert found == {"on-edge": FOREVER, "on-rack": ADMISSIONS, "on-late": FOREVER}
    await store.close()
