"""A device's containers under a watch: what is started or stopped without cause is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, ContainerState, Teller, silent
from edgecore.pods.runtimes.memory import SIGKILL, MemoryHost, MemoryRuntime
from protocol.objects.keys import Body, ObjectKey, Uid

STUBBORN = 0.1
"""Share of instances that only a kill ends."""
START_S = (0.0, 0.3)
END_S = (0.0, 3.0)
"""How long an instance takes to start, and to end after it was told to: bounds, seconds."""

Wanted = Callable[[ObjectKey], Body | None]
"""Returns the pod as the cloud's disk holds it."""


@dataclass(slots=True)
class SimulatedHost(MemoryHost):
    """A host that knows why each of its containers ended, and on which things take time.

    Attributes:
        rng: How much time.
        causes: The instances that ended by themselves: their process died, the device lost power.
        offences: What was done without one, in words.
    """

    rng: Random = field(default_factory=Random)
    causes: set[ContainerId] = field(default_factory=set)
    offences: list[str] = field(default_factory=list)

    def die(self, container: ContainerId, exit_code: int = 1) -> None:
        """End an instance: its program failed."""
        self.causes.add(container)
        self.end(container, exit_code)

    def tell(self, container: ContainerId, number: int) -> None:
        """Let a signal have its effect, after a while, whoever sent it and whatever becomes of the sender."""
        stubborn = int(container.pod[:4], 16) < STUBBORN * 0x10000  # the uid is random, and the same in each life
        if number == SIGKILL or not stubborn:
            delay_s = self.rng.uniform(*END_S)
            asyncio.get_running_loop().call_later(delay_s, self._take_effect, container, number)

    def _take_effect(self, container: ContainerId, number: int) -> None:
        state = self.states.get(container)
        if state is not None and state.exit is None:
            self.end(container, 128 + number, number)

    def lose_power(self) -> None:
        """End all instances."""
        self.causes.update(self.running())
        self.reboot()


class WatchingRuntime(MemoryRuntime):
    """A runtime on a :class:`SimulatedHost` that holds each order against what the cloud wants.

    Args:
        host: The device.
        wanted: Looks a pod up in the cloud.
        step: Awaited on either side of whatever changes the host.
    """

    def __init__(self, host: SimulatedHost, wanted: Wanted, step: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(host)
        self._watched = host
        self._wanted = wanted
        self._step = step

    async def start(self, spec: ContainerSpec, tell: Teller = silent) -> ContainerState:
        await self._step("before start")
        if spec.id not in self._watched.states:
            self._judge_start(spec)
        state = await super().start(spec, tell)
        await self._step("after start")
        await asyncio.sleep(self._watched.rng.uniform(*START_S))
        return self._watched.states[spec.id] if spec.id in self._watched.states else state

    async def signal(self, container: ContainerId, number: int) -> None:
        await self._step("before signal")
        state = self._watched.states.get(container)
        if state is not None and state.exit is None:
            self._judge_stop(container)
            self._watched.tell(container, number)
        await self._step("after signal")

    async def remove_pod(self, pod: Uid) -> None:
        for container in [container for container in self._watched.running() if container.pod == pod]:
            self._watched.offences.append(f"{container} was removed while it ran")
        await super().remove_pod(pod)

    def _judge_start(self, spec: ContainerSpec) -> None:
        host = self._watched
        if spec.id in host.starts:
            host.offences.append(f"{spec.id} was started twice")
        before = spec.id._replace(attempt=spec.id.attempt - 1)
        if spec.id.attempt and before not in host.causes and host.specs[before].image == spec.image:
            host.offences.append(f"{spec.id} follows an instance that had no cause to end")
        for other in host.running():
            named = (host.specs[other].namespace, host.specs[other].pod_name)
            if other.pod != spec.id.pod and named == (spec.namespace, spec.pod_name):
                host.offences.append(f"{spec.id} was started beside {other} of the same pod name")

    def _judge_stop(self, container: ContainerId) -> None:
        host = self._watched
        spec = host.specs[container]
        pod = self._wanted(ObjectKey("pods", spec.namespace, spec.pod_name))
        if pod is None or pod["metadata"]["uid"] != container.pod or "deletionTimestamp" in pod["metadata"]:
            return
        images = {one["name"]: one["image"] for one in pod["spec"]["containers"]}
        if images.get(container.name) == spec.image:
            host.offences.append(f"{container} was stopped although the cloud wants it")
