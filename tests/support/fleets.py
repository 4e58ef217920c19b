"""A cloud and its edges in one event loop, under virtual time, with faults to order.

Everything is the real code but the disks (memory, with committed and uncommitted state apart), the runtime (a host
whose containers are entries in a dictionary) and the wire (a lossy pipe). A crash takes what a power cut takes: every
task, every connection, and what was not on the disk.

All tasks belong to the fleet's task group, so a part that dies of a defect ends the test; defects that a driver
caught and logged are gathered in ``Fleet.defects``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, cast
from uuid import UUID

from cloudcore.apiserver.admission.standard import admission_chain
from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.controllers.manager import ControllerManager
from cloudcore.errors import StorageUnavailable
from cloudcore.events import EventRecorder
from cloudcore.hub.hub import Hub
from cloudcore.informers import Informers
from cloudcore.scheduler import Scheduler
from cloudcore.security.identity import Identity
from cloudcore.store.memory import CommitStep, MemoryDisk, MemoryStore
from edgecore.agent import Agent, Machine, Options
from edgecore.hub.session import Introduction
from edgecore.meta.engine import Change
from edgecore.meta.memory import MemoryDisk as EdgeDisk
from edgecore.meta.memory import MemoryEngine
from edgecore.meta.store import MetaStore
from edgecore.node.facts import Facts
from edgecore.node.sampler import Sample
from edgecore.node.status import Allotment
from edgecore.pods.storage import MemoryStorage
from protocol.frames import CloseCode
from protocol.objects.keys import Body, NodeName, ObjectKey, Uid
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID, RUNTIMES
from protocol.transports.memory import MemoryConnection, memory_pair
from tests.support.simulatedhosts import SimulatedHost, WatchingRuntime
from tests.support.simulationlogs import defects_logged

WALL = 1_790_000_000.0
FACTS = Facts("sim", ("192.0.2.1",), "m", "b", "k", "os", "amd64", 4, 8 << 30, 64 << 30)

Gate = Callable[["Site", str], Awaitable[None]]
"""Awaited at each step at which a crash makes a difference, with its owner and name; it may crash the owner there."""
Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


async def open_gate(_site: Site, _step: str) -> None:
    """Let every step pass."""


@dataclass(slots=True)
class SimulatedClock:
    """Both clocks on the running loop's time; a device's wall clock may be wrong by ``skew_s`` seconds."""

    skew_s: float = 0.0

    def wall(self) -> float:
        return WALL + self.skew_s + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does.

    Attributes:
        drop: Probability that a frame vanishes.
        duplicate: Probability that a frame arrives twice.
        truncate: Probability that a frame's end is missing (a changed byte in it cannot pass TLS).
        delay_s: Bounds of a frame's time under way, seconds.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    truncate: float = 0.0
    delay_s: tuple[float, float] = (0.001, 0.02)


CALM = Weather()
STORM = Weather(drop=0.05, duplicate=0.05, truncate=0.005, delay_s=(0.001, 1.0))
BLACK_HOLE = Weather(drop=1.0)


class Wire:
    """One end of a connection; each frame that it sends is a step of its site."""

    def __init__(self, inner: MemoryConnection, weather: Callable[[], Weather], step: Callable[[], Awaitable[None]]):
        self.inner = inner
        self._weather = weather
        self._step = step
        self.peer_certificate = inner.peer_certificate
        self.peer_address = inner.peer_address

    @property
    def bytes_received(self) -> int:
        return self.inner.bytes_received

    async def send(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            await self._step()
            weather, faults = self._weather(), self.inner.faults
            faults.drop, faults.duplicate, faults.delay_s = weather.drop, weather.duplicate, weather.delay_s
            cut = weather.truncate and faults.rng.random() < weather.truncate
            await self.inner.send([frame[: faults.rng.randrange(len(frame))] if cut else frame])

    async def receive(self) -> bytes:
        return await self.inner.receive()

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        await self.inner.close(code, reason)


class Site:
    """Something with a disk that lives, crashes and lives again.

    Attributes:
        crashes: How often it has crashed.
    """

    def __init__(self, rng: Random, spawn: Spawn) -> None:
        self.rng = rng
        self.clock = SimulatedClock()
        self.gate: Gate = open_gate
        self.crashes = 0
        self._spawn = spawn
        self._life: list[asyncio.Task[None]] = []

    def live(self, part: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run ``part`` for as long as this life lasts."""
        task = self._spawn(part, name)
        self._life.append(task)
        task.add_done_callback(self._life.remove)
        return task

    async def die(self) -> None:
        """End this life's tasks."""
        tasks = list(self._life)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def crash(self) -> None:
        """Lose everything but the disk."""
        raise AssertionError("each site crashes its own way")


class CloudSite(Site):
    """The cloud: one disk, and one life at a time on it.

    Attributes:
        disk: Survives.
        full: Whether the disk takes no writes.
        store: The open store.
        client: The API.
        hub: The hub.
        up: Set while nodes can connect.
    """

    def __init__(self, rng: Random, spawn: Spawn) -> None:
        super().__init__(rng, spawn)
        self.disk = MemoryDisk(incarnation=new_uid(rng))
        self.full = False
        self.store: MemoryStore
        self.client: LocalClient
        self.hub: Hub
        self.up = asyncio.Event()
        self._connections: list[MemoryConnection] = []

    def start(self) -> None:
        """Begin a life on what the disk holds."""
        self.store = MemoryStore(self.disk, commit_gate=self._at_step)
        self.live(self._run(), "cloud")

    async def crash(self) -> None:
        self.crashes += 1
        await self.stop()

    async def stop(self) -> None:
        """End the life, with nothing put in order first."""
        self.up.clear()
        self.client = cast(LocalClient, _Nobody())
        self.store.crash()
        for connection in list(self._connections):
            connection.cut()
        await self.die()

    def accept(self, connection: MemoryConnection, weather: Callable[[], Weather], identity: Identity) -> None:
        """Serve one connection for as long as it, or this life, lasts."""
        wire = Wire(connection, weather, partial(self.gate_of, "send"))
        self.live(self._serve(connection, wire, identity), f"serve {identity.node}")

    async def gate_of(self, step: str) -> None:
        """Pass the gate."""
        await self.gate(self, step)

    def pod(self, key: ObjectKey) -> Body | None:
        """Return the pod as it is on disk."""
        record = self.disk.records.get(key)
        return None if record is None else record.decode()

    async def _serve(self, connection: MemoryConnection, wire: Wire, identity: Identity) -> None:
        self._connections.append(connection)
        try:
            await self.hub.serve(wire, identity)
        finally:
            self._connections.remove(connection)

    async def _at_step(self, step: CommitStep) -> None:
        await self.gate(self, step.value)
        if self.full and step is CommitStep.WRITE:
            raise OSError("no space left on device")

    async def _run(self) -> None:
        clock, rng, store = self.clock, self.rng, self.store
        pending: list[Callable[[], int]] = []
        admission = admission_chain(active_pods=lambda: pending[0]() if pending else 0, rng=rng)
        registry = Registry(store, admission=admission, clock=clock.wall, new_uid=lambda: new_uid(rng), rng=rng)
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


class _Nobody:
    """The API between two lives: a process that is gone answers nothing, not even from its cache."""

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        async def refused(*_args: Any, **_options: Any) -> Any:
            raise StorageUnavailable("connection refused")

        return refused


class _Idle:
    """A sampler of a machine on which nothing happens."""

    def sample(self, now: float) -> Sample:
        return Sample(0.0, 8 << 30, 7 << 30, 64 << 30, 60 << 30, 100, 32_768, 0.0, 0.0)

    def network(self, now: float) -> tuple[float, float]:
        return 0.0, 0.0


class _GatedEngine(MemoryEngine):
    """A memory engine with a step on either side of each commit."""

    def __init__(self, disk: EdgeDisk, step: Callable[[str], Awaitable[None]], *, commit_s: float) -> None:
        super().__init__(disk, commit_s=commit_s)
        self._step = step

    async def commit(self, changes: Sequence[Change]) -> None:
        await self._step("before commit")
        await super().commit(changes)
        await self._step("after commit")


class EdgeSite(Site):
    """A device: one disk, one host with its containers, and one life of the agent at a time.

    Attributes:
        node: Its name.
        disk: Survives a crash, like ``host`` and ``storage``.
        weather: Of its way to the cloud; holds for connections that exist, too.
        store: The open meta store.
        agent: The agent of this life.
        running: Whether there is one.
    """

    def __init__(self, name: str, cloud: CloudSite, rng: Random, spawn: Spawn) -> None:
        super().__init__(rng, spawn)
        self.node = NodeName(name)
        self.disk = EdgeDisk()
        self.host = SimulatedHost(self.clock.wall, rng=rng)
        self.storage = MemoryStorage()
        self.weather = CALM
        self.store: MetaStore
        self.agent: Agent
        self.running = False
        self.instance = f"instance-of-{name}"
        self._cloud = cloud
        self._engine: _GatedEngine
        self._connections: list[MemoryConnection] = []

    @property
    def identity(self) -> Identity:
        """Who its certificate says it is."""
        return Identity(self.node, f"certificate-of-{self.node}")

    async def join(self) -> None:
        """Make the Node, as enrolment does."""
        metadata = {
            "name": self.node,
            "labels": {"kubernetes.io/hostname": self.node, "node-role.kubernetes.io/edge": ""},
            "annotations": {INSTANCE_ID: self.instance, CERTIFICATE: self.identity.certificate, RUNTIMES: "process"},
        }
        await self._cloud.client.create("nodes", {"metadata": metadata})

    def start(self) -> None:
        """Begin a life of the agent on what the disk and the host hold."""
        # In every third life a disk so slow that links are cut and agents killed in the middle of a commit.
        slow = Random(f"disk of {self.node} in life {self.crashes}").random() < 1 / 3
        self._engine = _GatedEngine(self.disk, self._at_step, commit_s=0.5 if slow else 0.002)
        self.store = MetaStore(self._engine, self.node)
        runtime = WatchingRuntime(self.host, self._cloud.pod, self._at_step)
        self.agent = Agent(
            self.store,
            Introduction(self.node, self.instance, "sim"),
            Machine(FACTS, Allotment(), _Idle(), [runtime], self.storage),
            dial=self._dial,
            rng=self.rng,
            options=Options(wall_clock=self.clock.wall),
        )
        self.running = True
        self.live(self.agent.run(), f"agent of {self.node}")

    async def crash(self) -> None:
        """Kill the agent: its containers run on."""
        self.crashes += 1
        await self.stop()

    async def stop(self) -> None:
        """End the life, with nothing put in order first."""
        self.running = False
        self._engine.crash()
        self.cut()
        await self.die()

    async def lose_power(self) -> None:
        """Kill the agent and every container."""
        await self.crash()
        self.host.lose_power()

    def cut(self) -> None:
        """Break the connection: what is under way is lost."""
        for connection in self._connections:
            connection.cut()
        self._connections.clear()

    async def hang_up(self) -> None:
        """End the connection on this side; what is under way still reaches the cloud, late."""
        for connection in self._connections:
            await connection.close(CloseCode.GOING_AWAY, "hung up")
        self._connections.clear()

    async def _at_step(self, step: str) -> None:
        await self.gate(self, step)

    async def _dial(self) -> Wire:
        if self.weather.drop >= 1.0 or not self._cloud.up.is_set():
            raise OSError("the network is unreachable")
        near, far = memory_pair(self.rng)
        self._connections = [near]
        self._cloud.accept(far, lambda: self.weather, self.identity)
        return Wire(near, lambda: self.weather, partial(self._at_step, "send"))


@dataclass(slots=True)
class Fleet:
    """A cloud and edges, running.

    Attributes:
        rng: Source of all randomness.
        cloud: The cloud.
        edges: The edges by name.
        defects: Exceptions that some part has caught and logged, in words.
    """

    rng: Random
    tasks: asyncio.TaskGroup
    cloud: CloudSite
    edges: dict[str, EdgeSite] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)

    @property
    def sites(self) -> list[Site]:
        """The cloud and the edges."""
        return [self.cloud, *self.edges.values()]

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run ``work`` beside the rest; if it fails, the fleet does."""
        return self.tasks.create_task(work, name=name)

    async def add_edge(self, name: str) -> EdgeSite:
        """Join an edge and start its agent."""
        edge = self.edges[name] = EdgeSite(name, self.cloud, self.rng, self.spawn)
        await edge.join()
        edge.start()
        return edge

    async def settle(self, check: Callable[[], Awaitable[list[str]]], *, within_s: float = 1800.0) -> None:
        """Let virtual time pass until ``check`` finds nothing wrong.

        Raises:
            AssertionError: It still does after ``within_s`` virtual seconds.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while wrong := await check():
            assert loop.time() < deadline, f"still after {within_s:g} s:\n  " + "\n  ".join(wrong[:20])
            await asyncio.sleep(5.0)


@contextlib.asynccontextmanager
async def fleet(seed: int, *, edges: int) -> AsyncIterator[Fleet]:
    """Run a cloud with ``edges`` joined edges; all of it ends with the block."""
    rng = Random(seed)
    with defects_logged() as defects:
        async with asyncio.TaskGroup() as tasks:

            def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
                return tasks.create_task(work, name=name)

            made = Fleet(rng, tasks, CloudSite(rng, spawn), defects=defects)
            made.cloud.start()
            await made.cloud.up.wait()
            for index in range(edges):
                await made.add_edge(f"edge-{index}")
            yield made
            for edge in made.edges.values():
                await edge.stop()
            await made.cloud.stop()


def new_uid(rng: Random) -> Uid:
    """Return a uid drawn from ``rng``."""
    return Uid(str(UUID(int=rng.getrandbits(128), version=4)))
