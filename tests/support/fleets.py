"""A cloud and its edges in one event loop, under virtual time, with seeded faults.

Everything is the real code but the disks (memory, with committed and uncommitted state apart), the runtime (a host
whose containers are entries in a dictionary) and the wire (a lossy pipe). What a crash takes is what a power cut
takes: every task, every connection, and what was not on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from cloudcore.apiserver.admission.standard import admission_chain
from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.controllers.manager import ControllerManager
from cloudcore.events import EventRecorder
from cloudcore.hub.hub import Hub
from cloudcore.informers import Informers
from cloudcore.scheduler import Scheduler
from cloudcore.security.identity import Identity
from cloudcore.store.memory import CommitStep, MemoryDisk, MemoryStore
from edgecore.agent import Agent, Machine, Options
from edgecore.hub.session import Introduction
from edgecore.meta.memory import MemoryDisk as EdgeDisk
from edgecore.meta.memory import MemoryEngine
from edgecore.meta.store import MetaStore
from edgecore.node.facts import Facts
from edgecore.node.sampler import Sample
from edgecore.node.status import Allotment
from edgecore.pods.runtimes.memory import MemoryHost, MemoryRuntime
from edgecore.pods.storage import MemoryStorage
from protocol.objects.keys import Body, NodeName, ObjectKey, Uid
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID, RUNTIMES
from protocol.transports.memory import MemoryConnection, memory_pair

WALL = 1_790_000_000.0
CERTIFICATE_OF = "certificate-of-{}"

Gate = Callable[[str], Awaitable[None]]
"""Awaited at each step of a commit, with the step's name; a simulation crashes the owner there."""


class LoopClock:
    """Both clocks on the running loop's time."""

    def wall(self) -> float:
        return WALL + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Weather:
    """What the network does.

    Attributes:
        drop: Probability that a frame vanishes.
        duplicate: Probability that a frame arrives twice.
        corrupt: Probability that one byte of a frame changes.
        delay_s: Bounds of a frame's time under way, seconds.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    delay_s: tuple[float, float] = (0.001, 0.02)


CALM = Weather()
STORM = Weather(drop=0.05, duplicate=0.05, corrupt=0.01, delay_s=(0.001, 1.5))


async def no_gate(_step: str) -> None:
    """Let every step pass."""


class CloudSite:
    """The cloud: one disk, and one life at a time on it."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.disk = MemoryDisk(incarnation=str(_uid(rng)))
        self.gate: Gate = no_gate
        self.crashes = 0
        self.store: MemoryStore
        self.client: LocalClient
        self.hub: Hub
        self.up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connections: set[MemoryConnection] = set()

    def start(self) -> None:
        """Begin a life on what the disk holds."""
        self.store = MemoryStore(self.disk, commit_gate=self._at_step)
        self._task = asyncio.create_task(self._live(), name="cloud")

    async def crash(self) -> None:
        """Lose everything but the disk."""
        self.up.clear()
        self.crashes += 1
        self.store.crash()
        for connection in self._connections:
            connection.cut()
        if self._task is not None:
            await _end(self._task)

    async def stop(self) -> None:
        """End the last life."""
        if self._task is not None:
            await _end(self._task)

    async def serve(self, connection: MemoryConnection, identity: Identity) -> None:
        """Drive one connection for as long as this life lasts."""
        self._connections.add(connection)
        try:
            await self.hub.serve(connection, identity)
        finally:
            self._connections.discard(connection)

    async def _at_step(self, step: CommitStep) -> None:
        await self.gate(f"cloud {step.value}")

    async def _live(self) -> None:
        clock, rng, store = LoopClock(), self.rng, self.store
        pending: list[Callable[[], int]] = []
        admission = admission_chain(active_pods=lambda: pending[0]() if pending else 0, rng=rng)
        registry = Registry(store, admission=admission, clock=clock.wall, new_uid=lambda: _uid(rng), rng=rng)
        self.client = LocalClient(registry)
        informers = Informers(store)
        recorder = EventRecorder(self.client, clock, "cloudcore")
        controllers = ControllerManager(self.client, informers, recorder, clock, registry.kinds, rng=rng)
        scheduler = Scheduler(self.client, informers, recorder.named("scheduler"), clock, rng=rng)
        pending.append(lambda: scheduler.active_count)
        self.hub = Hub(store, self.client, recorder.named("hub"), clock=clock, rng=rng)
        await bootstrap(registry)
        async with asyncio.TaskGroup() as group:
            for part in (informers, recorder, controllers, scheduler, self.hub):
                group.create_task(part.run(), name=type(part).__name__)
            await self.hub.ready.wait()
            self.up.set()


class _Idle:
    """A sampler of a machine on which nothing happens."""

    def sample(self, now: float) -> Sample:
        return Sample(0.0, 8 << 30, 7 << 30, 64 << 30, 60 << 30, 100, 32_768, 0.0, 0.0)


class _GatedEngine(MemoryEngine):
    """A memory engine that asks a gate before and after each commit."""

    def __init__(self, disk: EdgeDisk, gate: Callable[[], Gate]) -> None:
        super().__init__(disk, commit_s=0.002)
        self._gate = gate

    async def commit(self, changes: Any) -> None:
        await self._gate()("edge before commit")
        await super().commit(changes)
        await self._gate()("edge after commit")


class EdgeSite:
    """A device: one disk, one host with its containers, and one life of the agent at a time."""

    def __init__(self, name: str, cloud: CloudSite, rng: Random) -> None:
        self.node = NodeName(name)
        self.rng = rng
        self.disk = EdgeDisk()
        self.host = MemoryHost(LoopClock().wall)
        self.storage = MemoryStorage()
        self.weather = CALM
        self.gate: Gate = no_gate
        self.connected_to_cloud = True
        self.crashes = 0
        self.store: MetaStore
        self.agent: Agent
        self._cloud = cloud
        self._engine: _GatedEngine
        self._task: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._connections: set[MemoryConnection] = set()

    @property
    def identity(self) -> Identity:
        return Identity(self.node, CERTIFICATE_OF.format(self.node))

    async def join(self) -> None:
        """Make the Node, as enrolment does."""
        metadata = {
            "name": self.node,
            "labels": {"kubernetes.io/hostname": self.node, "node-role.kubernetes.io/edge": ""},
            "annotations": {
                INSTANCE_ID: f"instance-of-{self.node}",
                CERTIFICATE: self.identity.certificate,
                RUNTIMES: "process",
            },
        }
        await self._cloud.client.create("nodes", {"metadata": metadata})

    def start(self) -> None:
        """Begin a life of the agent on what the disk and the host hold."""
        self._engine = _GatedEngine(self.disk, lambda: self.gate)
        self.store = MetaStore(self._engine, self.node)
        facts = Facts("sim", ("192.0.2.1",), "m", "b", "k", "os", "amd64", 4, 8 << 30, 64 << 30)
        self.agent = Agent(
            self.store,
            Introduction(self.node, f"instance-of-{self.node}", "sim"),
            Machine(facts, Allotment(), _Idle(), [MemoryRuntime(self.host)], self.storage),
            dial=self._dial,
            rng=self.rng,
            options=Options(wall_clock=LoopClock().wall),
        )
        self._task = asyncio.create_task(self.agent.run(), name=f"agent {self.node}")

    async def crash(self) -> None:
        """Kill the agent: its containers run on."""
        self.crashes += 1
        self._engine.crash()
        self.cut()
        if self._task is not None:
            await _end(self._task)

    async def stop(self) -> None:
        """End the last life."""
        self.cut()
        if self._task is not None:
            await _end(self._task)
        for task in list(self._serving):
            await _end(task)

    def cut(self) -> None:
        """Break the connections there are."""
        for connection in list(self._connections):
            connection.cut()

    async def _dial(self) -> MemoryConnection:
        if not self.connected_to_cloud or not self._cloud.up.is_set():
            raise OSError("the network is unreachable")
        near, far = memory_pair(self.rng)
        for end in (near, far):
            weather = self.weather
            end.faults.drop, end.faults.duplicate = weather.drop, weather.duplicate
            end.faults.corrupt, end.faults.delay_s = weather.corrupt, weather.delay_s
        self._connections.add(near)
        task = asyncio.create_task(self._cloud.serve(far, self.identity), name=f"serve {self.node}")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        task.add_done_callback(lambda _: self._connections.discard(near))
        return near

    def holdings(self) -> dict[ObjectKey, tuple[Uid, int, Body]]:
        """Return what the agent's disk holds, by key."""
        return {
            entry.key: (entry.uid, entry.version, held.body)
            for entry in self.store.inventory()
            if (held := self.store.get(entry.key)) is not None
        }


@dataclass(slots=True)
class Fleet:
    """A cloud and edges, running."""

    rng: Random
    cloud: CloudSite
    edges: dict[str, EdgeSite] = field(default_factory=dict)

    async def eventually(self, what: str, check: Callable[[], Awaitable[str]], *, within_s: float = 3600.0) -> None:
        """Let virtual time pass until ``check`` finds nothing wrong.

        Raises:
            AssertionError: It still does after ``within_s`` virtual seconds.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while wrong := await check():
            assert loop.time() < deadline, f"{what}: {wrong}"
            await asyncio.sleep(1.0)


@contextlib.asynccontextmanager
async def fleet(seed: int, *, edges: int) -> AsyncIterator[Fleet]:
    """Run a cloud with ``edges`` joined edges; all of it ends with the block."""
    rng = Random(seed)
    cloud = CloudSite(rng)
    made = Fleet(rng, cloud)
    cloud.start()
    await cloud.up.wait()
    try:
        for index in range(edges):
            edge = made.edges[f"edge-{index}"] = EdgeSite(f"edge-{index}", cloud, rng)
            await edge.join()
            edge.start()
        yield made
    finally:
        for edge in made.edges.values():
            await edge.stop()
        await cloud.stop()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


def _uid(rng: Random) -> Uid:
    return Uid(str(UUID(int=rng.getrandbits(128), version=4)))
