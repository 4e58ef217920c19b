"""Simulated edges in a child process: real Links over WebSockets and TLS, each with its node's own certificate.

Two kinds. A *light* edge keeps its slice in a dict and acknowledges at once: a thousand of them leave most of a core
to the rest of the benchmark. A *durable* one is the agent's own session over its own meta store on SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Protocol

import msgpack
import uvloop
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as library_connect
from websockets.exceptions import ConnectionClosed as LibraryClosed

from benchmarks.children import answer, raise_file_limit
from benchmarks.harness import percentile
from benchmarks.world import client_tls, node_name
from edgecore.hub.session import Introduction, Session, Vitals
from edgecore.meta.base import Applied
from edgecore.meta.sqlite import SqliteEngine
from edgecore.meta.store import MetaStore
from protocol.digest import Digest
from protocol.errors import ConnectionClosed
from protocol.events import Closed, Event, Received, Settled, WelcomeReceived
from protocol.frames import CloseCode
from protocol.heartbeat import HeartbeatEncoder, Load
from protocol.link import Link, Side
from protocol.messages import Hello, InventoryEntry, Item, Op, Resume, Welcome
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision, Uid
from protocol.settings import LinkSettings
from protocol.transports.websocket import WebSocketConnection, connect

COUNTED = frozenset({"configmaps", "services"})
NODE_STATUS = "nodes/status"
RAW_ACK = bytes(10)
RETRY_S = 1.0


class Tally:
    """What has arrived at all edges."""

    def __init__(self) -> None:
        self.expected = 0
        self.arrivals: list[tuple[int, object]] = []
        self.keep = True
        self.count = 0
        self.last_ns = 0
        self.complete = asyncio.Event()
        self.statuses = 0

    def expect(self, count: int, *, keep: bool) -> None:
        """Begin to count; ``keep`` when each object arrived, and what it said about when it was sent."""
        self.expected, self.keep, self.count = count, keep, 0
        self.arrivals.clear()
        self.complete.clear()

    def note(self, content: object) -> None:
        """Count an object that an edge holds now: its encoded or decoded body."""
        self.count += 1
        if self.keep:
            self.arrivals.append((time.monotonic_ns(), content))
        if self.count >= self.expected:
            self.last_ns = time.monotonic_ns()
            self.complete.set()

    def latencies_ms(self) -> list[float]:
        """Return for each arrival how long after its being sent it came, milliseconds."""
        latencies = []
        for at_ns, content in self.arrivals:
            body = msgpack.unpackb(content) if isinstance(content, bytes) else content
            data = body.get("data") if isinstance(body, dict) else None
            if data and "sent" in data:
                latencies.append((at_ns - int(data["sent"])) / 1e6)
        return latencies


class Edge(Protocol):
    """What the commands need of an edge."""

    task: asyncio.Task[None] | None

    async def open(self) -> None:
        """Connect; returns once the cloud has let the node in."""

    async def send_status(self, body: Body, generation: int) -> None:
        """Report the node's status; returns once it is settled."""

    async def beat(self) -> None:
        """Send a heartbeat."""

    async def close(self) -> None:
        """Disconnect."""


class LightEdge:
    """An edge that holds its slice in memory."""

    def __init__(self, number: int, folder: Path, url: str, tally: Tally) -> None:
        self.name = node_name(number)
        self.task: asyncio.Task[None] | None = None
        self.tls = client_tls(folder, number)
        self.opened_in_s = 0.0
        self._url = url
        self._tally = tally
        self._held: dict[ObjectKey, tuple[Uid, Revision]] = {}
        self._incarnation = ""
        self._epoch = 0
        self._heartbeats = HeartbeatEncoder()
        self._link: Link | None = None
        self._connection: WebSocketConnection | None = None
        self._settled: asyncio.Future[None] | None = None
        self._opened: asyncio.Future[None] | None = None

    async def open(self) -> None:
        now = asyncio.get_running_loop().time
        began = now()
        self._connection = await connect(self._url, tls=self.tls, timeout_s=60)
        link = self._link = Link(Side.EDGE, LinkSettings(handshake_s=60), Random(1), now=now())
        entries = (InventoryEntry(key, *held) for key, held in self._held.items())
        digest = Digest(self._incarnation, entries)
        link.start(
            Hello(NodeName(self.name), self.name, self._incarnation, self._epoch, digest.value, digest.count), now()
        )
        self._heartbeats = HeartbeatEncoder()
        self._opened = asyncio.get_running_loop().create_future()
        await self._flush()
        self.task = asyncio.create_task(self._read(link, self._connection), name=self.name)
        await self._opened
        self.opened_in_s = now() - began

    async def open_dead(self) -> None:
        """Say hello over a link that dies on the way: nothing that the cloud sends is ever read, nor answered."""
        now = asyncio.get_running_loop().time
        self._connection = await connect(self._url, tls=self.tls, timeout_s=60)
        link = self._link = Link(Side.EDGE, LinkSettings(handshake_s=60), Random(1), now=now())
        link.start(Hello(NodeName(self.name), self.name, self._incarnation, self._epoch, bytes(16), 1), now())
        await self._flush()

    async def _read(self, link: Link, connection: WebSocketConnection) -> None:
        now = asyncio.get_running_loop().time
        try:
            while link.closed is None:
                link.receive(await connection.receive(), now())
                while (event := link.next_event()) is not None:
                    self._handle(link, event)
                await self._flush()
        except ConnectionClosed as exc:
            self._fail(exc.reason)

    def _handle(self, link: Link, event: Event) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(event, Received):
            for item in event.items:
                self._apply(item)
            link.settle(event.batch, None, now)
        elif isinstance(event, Settled):
            if self._settled is not None and not self._settled.done():
                self._settled.set_result(None)
        elif isinstance(event, WelcomeReceived):
            self._welcomed(link, event.welcome, now)
        elif isinstance(event, Closed):
            self._fail(event.reason)

    def _welcomed(self, link: Link, welcome: Welcome, now: float) -> None:
        self._epoch = welcome.epoch
        if welcome.resume is Resume.INVENTORY:
            link.send_inventory([InventoryEntry(key, *held) for key, held in self._held.items()], now)
        self._incarnation = welcome.incarnation
        link.send_volatile(self._heartbeats.encode(Load(pods=1)), now)
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def _apply(self, item: Item) -> None:
        if item.op is Op.PUT:
            self._held[item.key] = item.uid, item.version
            if item.key.resource in COUNTED:
                self._tally.note(item.body)
        elif item.op is Op.DELETE and self._held.get(item.key, ("",))[0] == item.uid:
            del self._held[item.key]

    def _fail(self, reason: str) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(ConnectionError(f"{self.name}: {reason}"))

    async def _flush(self) -> None:
        assert self._link is not None
        assert self._connection is not None
        while frames := self._link.data_to_send(asyncio.get_running_loop().time()):
            await self._connection.send(frames)

    async def send_status(self, body: Body, generation: int) -> None:
        assert self._link is not None
        loop = asyncio.get_running_loop()
        self._settled = loop.create_future()
        key = ObjectKey(NODE_STATUS, "", self.name)
        self._link.send(Item(Op.PUT, key, Uid(""), Revision(generation), msgpack.packb(body)), loop.time())
        await self._flush()
        await self._settled

    async def beat(self) -> None:
        if self._link is None or self._link.closed is not None:
            return
        now = asyncio.get_running_loop().time()
        self._link.handle_timer(now)
        self._link.send_volatile(self._heartbeats.encode(Load(pods=1)), now)
        await self._flush()

    async def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
        if self._connection is not None:
            await self._connection.close(CloseCode.GOING_AWAY, "benchmark")


class DurableEdge:
    """The agent's session and meta store: what is counted is on disk."""

    def __init__(self, number: int, folder: Path, url: str, tally: Tally) -> None:
        self.name = node_name(number)
        self.task: asyncio.Task[None] | None = None
        self.tls = client_tls(folder, number)
        self._url = url
        self._tally = tally
        self._store = MetaStore(SqliteEngine(folder / "edges" / self.name / "meta.db"), NodeName(self.name))
        self._store.subscribe(self)
        self._session: Session | None = None

    def applied(self, changes: Sequence[Applied]) -> None:
        """Count committed changes."""
        for change in changes:
            if change.held is not None and change.key.resource in COUNTED:
                self._tally.note(change.held.body)

    def completed(self) -> None:
        """Nothing to do."""

    async def open(self) -> None:
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection = await connect(self._url, tls=self.tls, timeout_s=60)
        self._session = Session(
            connection,
            self._store,
            Introduction(NodeName(self.name), self.name),
            vitals=Vitals(lambda: Load(pods=1)),
            rng=Random(1),
            on_open=lambda _: opened.set_result(None),
        )
        self.task = asyncio.create_task(self._run(self._session), name=self.name)
        await opened

    async def _run(self, session: Session) -> None:
        await session.run()

    async def send_status(self, body: Body, generation: int) -> None:
        del generation
        await self._store.node_status(body["status"])

    async def beat(self) -> None:
        """Nothing to do: the session sends its own."""

    async def close(self) -> None:
        if self._session is not None and self.task is not None:
            self._session.leave("benchmark")
            await self.task


class Fleet:
    """The commands.

    Args:
        folder: The world's data folder.
        port: The hub's.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._url = f"wss://127.0.0.1:{port}/v1/link"
        self._tally = Tally()
        self._edges: list[Edge] = []
        self._raw: list[tuple[ClientConnection, asyncio.Task[None]]] = []
        self._refused = 0
        self._silent: list[socket.socket] = []
        self._beating: asyncio.Task[None] | None = None
        self._generation = 0

    async def make(self, first: int, count: int, durable: bool = False) -> None:
        """Make edges, without connecting them: their certificates are read, their databases opened."""
        make: Callable[[int, Path, str, Tally], Edge] = DurableEdge if durable else LightEdge
        self._edges += [make(number, self._folder, self._url, self._tally) for number in range(first, first + count)]
        gc.collect()
        gc.freeze()

    async def connect(self, lanes: int = 256, heartbeat_s: float = 10.0, statuses: bool = True) -> dict[str, float]:
        """Connect all edges, at most ``lanes`` handshakes at a time; each then reports that it is ready."""
        rest = iter(self._edges)
        self._generation += 1

        async def lane() -> None:
            for edge in rest:
                await self._open(edge)
                if statuses:
                    await edge.send_status(node_status(self._generation), self._generation)

        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(min(lanes, len(self._edges))):
                group.create_task(lane(), name=f"lane-{number}")
        ended = time.monotonic()
        if heartbeat_s and self._beating is None:
            self._beating = asyncio.create_task(self._beat(heartbeat_s), name="heartbeats")
        return {"started": started, "ended": ended, "refused": self._refused}

    async def _open(self, edge: Edge) -> None:
        """Connect one edge; one that is turned away comes back, as an agent does."""
        while True:
            try:
                await edge.open()
            except (ConnectionClosed, ConnectionError) as exc:
                self._refused += 1
                print(f"refused: {exc}", file=sys.stderr)
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def resume(self, lanes: int, dead_every: int = 0) -> dict[str, float]:
        """Connect all (light) edges again; return when it began and ended, and how long the healthy ones took.

        Args:
            lanes: Handshakes at a time.
            dead_every: Each so many-th edge dies: one half of them after TCP, before a word of TLS, the other
                half after its hello.
        """
        rest = iter(enumerate([edge for edge in self._edges if isinstance(edge, LightEdge)]))
        healthy: list[LightEdge] = []

        async def lane() -> None:
            for number, edge in rest:
                if not dead_every or number % dead_every:
                    await self._open(edge)
                    healthy.append(edge)
                elif number // dead_every % 2:
                    await edge.open_dead()
                else:
                    self._silent.append(await self._connect_silently())

        started = time.monotonic()
        await asyncio.gather(*(lane() for _ in range(lanes)))
        ended = time.monotonic()
        return {"started": started, "ended": ended, "p99_ms": percentile([e.opened_in_s * 1e3 for e in healthy], 99)}

    async def _connect_silently(self) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        host, _, port = self._url.removeprefix("wss://").partition("/")[0].partition(":")
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        return sock

    async def disconnect(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(edge.close() for edge in self._edges))
        while self._silent:
            self._silent.pop().close()

    async def raw_connect(self, port: int, lanes: int) -> float:
        """Take a TLS handshake for each light edge with a server that does nothing else; return the seconds."""
        rest = iter([edge.tls for edge in self._edges if isinstance(edge, LightEdge)])
        writers: list[asyncio.StreamWriter] = []

        async def lane() -> None:
            for tls in rest:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
                writers.append(writer)
                await reader.readexactly(1)

        started = time.monotonic()
        await asyncio.gather(*(lane() for _ in range(lanes)))
        took_s = time.monotonic() - started
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
        return took_s

    async def raw_echo(self, port: int, lanes: int) -> None:
        """Connect each light edge, by the library alone, to a server whose messages are answered by a few bytes."""
        rest = iter([edge.tls for edge in self._edges if isinstance(edge, LightEdge)])

        async def echo(connection: ClientConnection) -> None:
            with suppress(LibraryClosed):
                while True:
                    await connection.recv()
                    await connection.send(RAW_ACK)

        async def lane() -> None:
            for tls in rest:
                connection = await library_connect(
                    f"wss://127.0.0.1:{port}/", ssl=tls, compression=None, ping_interval=None, open_timeout=60
                )
                self._raw.append((connection, asyncio.create_task(echo(connection), name="raw")))

        await asyncio.gather(*(lane() for _ in range(lanes)))

    async def raw_hang_up(self) -> None:
        """End what ``raw_echo`` has begun."""
        for connection, task in self._raw:
            connection.transport.abort()
            await task
        self._raw.clear()

    async def unmake(self) -> None:
        """Forget all edges."""
        self._edges.clear()

    async def statuses(self) -> float:
        """Have every edge report a changed status; return how long it took until all were settled, seconds."""
        self._generation += 1
        body = node_status(self._generation)
        started = time.monotonic()
        await asyncio.gather(*(edge.send_status(body, self._generation) for edge in self._edges))
        return time.monotonic() - started

    async def expect(self, count: int, keep: bool = True) -> None:
        """Begin to count arrivals up to ``count``."""
        self._tally.expect(count, keep=keep)

    async def arrived(self) -> float:
        """Wait for what is expected; return when the last of it arrived (was on disk, for durable edges)."""
        await self._tally.complete.wait()
        return self._tally.last_ns / 1e9

    async def latencies_ms(self) -> list[float]:
        """Return the latencies of what has arrived."""
        return self._tally.latencies_ms()

    async def _beat(self, every_s: float) -> None:
        while True:
            for edge in self._edges:
                await edge.beat()
                await asyncio.sleep(every_s / len(self._edges))


def node_status(generation: int) -> Body:
    """Return a status of about the size an agent's has; the generation makes it differ from the one before."""
    names = {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"}
    at = f"2026-11-23T10:{generation // 60 % 60:02d}:{generation % 60:02d}Z"
    conditions = [
        {
            "type": name,
            "status": status,
            "reason": f"Agent{name}",
            "message": "as the agent has found it",
            "lastTransitionTime": "2026-11-23T10:00:00Z",
            "lastHeartbeatTime": at,
        }
        for name, status in names.items()
    ]
    capacity = {"cpu": "4", "memory": "4041848Ki", "ephemeral-storage": "30298176Ki", "pods": "110"}
    info = dict.fromkeys(
        ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "architecture", "operatingSystem"), "linux"
    )
    return {
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "edge"}],
            "nodeInfo": info | {"kubeletVersion": "v1.31.0-aiokubeedge.0", "kubeProxyVersion": "", "bootID": at},
        }
    }


async def main(folder: Path, port: int) -> None:
    """Answer until the standard input ends."""
    fleet = Fleet(folder, port)
    commands = (
        fleet.make,
        fleet.connect,
        fleet.resume,
        fleet.disconnect,
        fleet.raw_connect,
        fleet.raw_echo,
        fleet.raw_hang_up,
        fleet.unmake,
        fleet.statuses,
        fleet.expect,
        fleet.arrived,
        fleet.latencies_ms,
    )
    await answer({command.__name__: command for command in commands})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    raise_file_limit()
    uvloop.run(main(options.folder, options.port))
