"""A hub on an in-memory store under virtual time, and edges that are links driven by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgpack

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.hub.hub import Hub
from cloudcore.hub.settings import HubSettings
from cloudcore.security.identity import Identity
from cloudcore.store.memory import MemoryStore
from protocol.digest import Digest
from protocol.driver import LinkDriver
from protocol.events import Closed, Event, Received, Settled, WelcomeReceived
from protocol.link import Link, Side
from protocol.messages import Hello, InventoryEntry, Item, Op, Outcome, Resume, Verdict, Welcome
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision, Uid
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID
from protocol.settings import LinkSettings
from protocol.transports.memory import memory_pair

WALL = 1_790_000_000.0


class LoopClock:
    """Both clocks on the running loop's time."""

    def wall(self) -> float:
        return WALL + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class Recorded:
    """A recorder that keeps what it is given."""

    events: list[tuple[str, str, str]] = field(default_factory=list)

    def event(self, regarding: Body, type: str, reason: str, message: str) -> None:
        self.events.append((regarding["metadata"]["name"], reason, message))

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.events]


@dataclass
class Holding:
    """What an edge keeps on its disk: it outlives connections."""

    node: str
    instance: str = "instance-1"
    certificate: str = "cert-1"
    incarnation: str = ""
    epoch: int = 0
    objects: dict[ObjectKey, tuple[InventoryEntry, Body]] = field(default_factory=dict)

    def hello(self) -> Hello:
        entries = [entry for entry, _ in self.objects.values()]
        digest = Digest(self.incarnation, entries).value
        return Hello(NodeName(self.node), self.instance, self.incarnation, self.epoch, digest, len(entries))

    def apply(self, item: Item) -> None:
        held = self.objects.get(item.key)
        if item.op is Op.PUT:
            entry = InventoryEntry(item.key, item.uid, item.version)
            self.objects[item.key] = (entry, msgpack.unpackb(item.body))
        elif held is not None and held[0].uid == item.uid:
            del self.objects[item.key]

    def names(self, resource: str) -> list[str]:
        return sorted(key.name for key in self.objects if key.resource == resource)


class Edge:
    """One connection of an edge. Applies what comes down to its :class:`Holding` unless told to hold back."""

    def __init__(self, cloud: Cloud, holding: Holding, *, identity: Identity | None = None) -> None:
        self.holding = holding
        self.near, self.far = memory_pair()
        self.link = Link(Side.EDGE, LinkSettings(), Random(1), now=cloud.clock.monotonic())
        self.welcome: Welcome | None = None
        self.received: list[Item] = []
        self.settled: list[tuple[Item, Verdict]] = []
        self.answers: dict[ObjectKey, Verdict] = {}
        self.holds_back = False
        self.unacked: list[Received] = []
        self._cloud = cloud
        self._identity = identity or Identity(NodeName(holding.node), holding.certificate)
        self._driver = LinkDriver(self.link, self.near, self._handle, clock=cloud.clock.monotonic)

    @property
    def closed(self) -> Closed | None:
        return self.link.closed

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._cloud.hub.serve(self.far, self._identity), name="serve")
            await self._driver.run(tasks, f"edge {self.holding.node}")

    def start(self) -> None:
        self.link.start(self.holding.hello(), self._now())
        self._driver.pump()

    def put(self, resource: str, namespace: str, name: str, uid: str, body: Any) -> None:
        key = ObjectKey(resource, namespace, name)
        self.send(Item(Op.PUT, key, Uid(uid), Revision(0), msgpack.packb(body)))

    def send(self, item: Item) -> None:
        self.link.send(item, self._now())
        self._driver.pump()

    def heartbeat(self, body: bytes = b"\x80") -> None:
        self.link.send_volatile(body, self._now())
        self._driver.pump()

    def raw(self, frame: bytes) -> None:
        """Send a frame that no link would."""
        self._cloud.spawn(self.near.send([frame]))

    def verdict(self, resource: str) -> Verdict:
        return next(verdict for item, verdict in self.settled if item.key.resource == resource)

    def _now(self) -> float:
        return self._cloud.clock.monotonic()

    def _handle(self, event: Event) -> None:
        if isinstance(event, WelcomeReceived):
            self._on_welcome(event.welcome)
        elif isinstance(event, Received):
            self.received += event.items
            if self.holds_back:
                self.unacked.append(event)
            else:
                self.acknowledge(event)
        elif isinstance(event, Settled):
            self.settled += zip(event.items, event.verdicts, strict=True)

    def _on_welcome(self, welcome: Welcome) -> None:
        self.welcome = welcome
        self.holding.epoch, self.holding.incarnation = welcome.epoch, welcome.incarnation
        if welcome.resume is Resume.INVENTORY:
            self.link.send_inventory([entry for entry, _ in self.holding.objects.values()], self._now())

    def acknowledge(self, event: Received) -> None:
        verdicts = []
        for item in event.items:
            verdict = self.answers.get(item.key, Verdict(Outcome.APPLIED))
            if verdict.outcome is Outcome.APPLIED:
                self.holding.apply(item)
            verdicts.append(verdict)
        self.link.settle(event.batch, verdicts, self._now())
        self._driver.pump()


@dataclass
class Cloud:
    """A running hub with its store and client."""

    store: MemoryStore
    client: LocalClient
    hub: Hub
    recorder: Recorded
    clock: LoopClock
    tasks: asyncio.TaskGroup

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        return self.tasks.create_task(coroutine)

    async def connect(self, holding: Holding, *, identity: Identity | None = None) -> Edge:
        edge = Edge(self, holding, identity=identity)
        self.spawn(edge.run())
        edge.start()
        await settle(until=lambda: edge.welcome is not None or edge.closed is not None)
        return edge

    async def add_node(self, name: str, *, instance: str = "instance-1", certificate: str = "cert-1") -> Body:
        annotations = {INSTANCE_ID: instance, CERTIFICATE: certificate}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "annotations": annotations}, "spec": {}}
        return await self.client.create("nodes", body)

    async def add_config_map(self, name: str, data: dict[str, str] | None = None) -> Body:
        metadata = {"name": name, "namespace": "default"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"a": "1"}}
        return await self.client.create("configmaps", body)

    async def add_pod(self, name: str, node: str, *, config_map: str = "") -> Body:
        container: Body = {"name": "c", "image": "i", "command": ["true"]}
        if config_map:
            container["envFrom"] = [{"configMapRef": {"name": config_map}}]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": node, "containers": [container]},
        }
        return await self.client.create("pods", body)


@asynccontextmanager
async def cloud(settings: HubSettings | None = None) -> AsyncIterator[Cloud]:
    """Run a cloud; everything in it ends with the block."""
    store, clock, recorder = MemoryStore(), LoopClock(), Recorded()
    registry = Registry(store, clock=clock.wall)
    await bootstrap(registry)
    client = LocalClient(registry)
    hub = Hub(store, client, recorder, clock=clock, rng=Random(2), settings=settings)
    async with asyncio.TaskGroup() as tasks:
        running = Cloud(store, client, hub, recorder, clock, tasks)
        following = tasks.create_task(hub.run())
        await hub.ready.wait()
        try:
            yield running
            hub.router.check_invariants()
        finally:
            for session in list(hub.sessions.values()):
                session.end(1001, "the test is over")
            following.cancel()
    await store.close()


async def settle(*, until: Any = None, within_s: float = 60.0) -> None:
    """Let virtual time pass until the condition holds, or until nothing more is under way."""
    deadline = asyncio.get_running_loop().time() + (within_s if until is not None else 1.0)
    while asyncio.get_running_loop().time() < deadline:
        if until is not None and until():
            return
        await asyncio.sleep(0.01)
    assert until is None, "the condition never came true"
