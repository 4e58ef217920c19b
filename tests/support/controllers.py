"""A cloud without network or disk for tests of controllers: memory store, registry, client, informers, virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from cloudcore.apiserver.admission.standard import admission_chain
from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.controllers.manager import ControllerManager, ControllerSettings
from cloudcore.events import EventRecorder
from cloudcore.informers import Informers
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.times import timestamp

EPOCH_S = 1_800_000_000.0


class LoopClock:
    """Both clocks on the running loop's time, which looptime makes virtual. ``skew_s`` makes the wall clock jump."""

    def __init__(self) -> None:
        self.skew_s = 0.0

    def wall(self) -> float:
        return EPOCH_S + self.skew_s + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class Cloud:
    """The parts a test may touch."""

    store: MemoryStore
    client: LocalClient
    informers: Informers
    recorder: EventRecorder
    manager: ControllerManager
    clock: LoopClock

    async def settle(self) -> None:
        """Wait until no controller has anything ready, under way or due within half a second."""
        quiet = 0
        for _ in range(20_000):
            before = self.store.revision
            await asyncio.sleep(self._due_in() if quiet > 20 else 0)
            cores = [controller.queue.core for controller in self.manager.controllers.values()]
            busy = not all(core.idle for core in cores)
            quiet = 0 if busy or self.store.revision != before else quiet + 1
            if quiet > 20 and not self._due_in():
                return
        raise AssertionError("the controllers do not come to rest")

    def _due_in(self) -> float:
        """Return the seconds until the next key is due (never 0), or 0 where that is not soon."""
        timers = [controller.queue.core.next_timer() for controller in self.manager.controllers.values()]
        left_s = min((at for at in timers if at is not None), default=math.inf) - asyncio.get_running_loop().time()
        return max(left_s, 1e-3) if left_s <= 0.5 else 0.0

    async def pass_time(self, seconds: float) -> None:
        """Let virtual time pass, and the controllers come to rest."""
        await asyncio.sleep(seconds)
        await self.settle()

    async def pods(self, namespace: str = "default") -> list[Body]:
        return await self.client.list("pods", namespace)

    async def play_kubelet(self, *, ready: bool = True) -> int:
        """Report every pod that is not reported yet as running (or not ready); return how many changed."""
        changed = 0
        for pod in await self.client.list("pods"):
            wanted = "True" if ready else "False"
            conditions = pod.get("status", {}).get("conditions") or []
            now = next((entry["status"] for entry in conditions if entry["type"] == "Ready"), None)
            if now == wanted or pod["metadata"].get("deletionTimestamp"):
                continue
            at = timestamp(self.clock.wall())
            condition = {"type": "Ready", "status": wanted, "lastTransitionTime": at}
            patch: dict[str, Any] = {"status": {"phase": "Running", "conditions": [condition]}}
            metadata = pod["metadata"]
            await self.client.patch("pods", metadata["namespace"], metadata["name"], patch, subresource="status")
            changed += 1
        return changed

    async def exists(self, key: ObjectKey) -> bool:
        return any(body["metadata"]["name"] == key.name for body in await self.client.list(key.resource, key.namespace))


@asynccontextmanager
async def cloud(settings: ControllerSettings | None = None, store: MemoryStore | None = None) -> AsyncIterator[Cloud]:
    """Run a cloud with all controllers, settled; its tasks end with the block."""
    clock = LoopClock()
    memory = store or MemoryStore()
    registry = Registry(memory, admission=admission_chain(), clock=clock.wall, rng=Random(1))
    client = LocalClient(registry)
    informers = Informers(memory)
    recorder = EventRecorder(client, clock, "test")
    manager = ControllerManager(client, informers, recorder, clock, registry.kinds, settings=settings, rng=Random(2))
    async with asyncio.TaskGroup() as group:
        await bootstrap(registry)
        tasks = [group.create_task(part.run()) for part in (informers, recorder, manager)]
        made = Cloud(memory, client, informers, recorder, manager, clock)
        await informers.wait_synced()
        await made.settle()
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await memory.close()


def deployment(name: str = "web", replicas: int = 3, image: str = "nginx:1", **spec: Any) -> Body:
    """Return a Deployment as a person would write it."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}},
            **spec,
        },
    }
