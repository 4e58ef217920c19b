"""One node's connection: what its Link says goes to the hub, what the hub says goes to its Link.

Contract. One task group: the caller's own task and the link driver's writer move frames; a third task exists only while
there is something to do that may wait (opening, comparing an inventory, applying reports) and does it strictly in
order. What waits for it is bounded by the link's window. :meth:`Session.deliver` neither waits nor fails: the link's
outbox coalesces per object, so a slow node holds up nobody. Whoever ends the session first wins; the peer is told why
in the link's last frame.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from cloudcore.clock import Clock
from cloudcore.security.identity import Identity
from protocol.driver import LinkDriver
from protocol.events import (
    Closed,
    Event,
    HelloReceived,
    InventoryReceived,
    Received,
    Settled,
    VolatileReceived,
)
from protocol.frames import CloseCode
from protocol.heartbeat import HeartbeatDecoder, HeartbeatError, Load, digest_mark
from protocol.link import Link
from protocol.messages import Hello, InventoryEntry, Item, Lane, Outcome, Resume, Verdict, Welcome
from protocol.samples import ReadingTable
from protocol.traffic import TrafficKey
from protocol.transports.base import Connection

REMEMBERED_REJECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Told:
    """What an edge last told of the digest of its holding.

    Attributes:
        mark: The beginning of it (:func:`protocol.heartbeat.digest_mark`).
        at: When it was told, seconds since the epoch.
    """

    mark: int
    at: float


class Host(Protocol):
    """What a session needs of the hub. The asynchronous calls of one session never overlap."""

    async def open(self, session: Session, hello: Hello) -> None:
        """Welcome or refuse the edge."""

    async def resume(self, session: Session, entries: list[InventoryEntry]) -> None:
        """Send what differs from what the edge holds."""

    async def apply(self, session: Session, items: list[Item]) -> list[Verdict]:
        """Apply a batch of reports."""

    def heartbeat(self, session: Session) -> None:
        """Take note that the node lives."""

    def rejected(self, session: Session, item: Item, verdict: Verdict) -> None:
        """Take note that the edge will never take ``item``."""


class Session:
    """Drives one link on the cloud's side.

    Args:
        host: The hub.
        connection: The transport, owned by this session from now on.
        identity: Who the peer is, from its verified certificate.
        link: A new link of the cloud's side.
        transport: What the connection is, for people: ``websocket``, ``memory``.
        clock: Monotonic time.
        close_s: How long the last frame may take, seconds.
    """

    __slots__ = (
        "_clock",
        "_driver",
        "_heartbeats",
        "_host",
        "_tasks",
        "_todo",
        "_worker",
        "acked_at",
        "address",
        "hello",
        "identity",
        "link",
        "node_revision",
        "rejections",
        "resumed",
        "since",
        "told",
        "transport",
    )

    def __init__(
        self,
        host: Host,
        connection: Connection,
        identity: Identity,
        link: Link,
        clock: Clock,
        *,
        transport: str,
        close_s: float,
    ) -> None:
        self._host = host
        self._clock = clock
        self._driver = LinkDriver(link, connection, self._handle, clock=clock.monotonic, close_s=close_s)
        self._todo: deque[Event] = deque()
        self._tasks: asyncio.TaskGroup | None = None
        self._worker: asyncio.Task[None] | None = None
        self._heartbeats: HeartbeatDecoder | None = None
        self.identity = identity
        self.link = link
        self.transport = transport
        self.address = connection.peer_address
        self.since = clock.wall()
        self.hello: Hello | None = None
        self.node_revision = 0
        """Revision of the Node object that let this session in; 0 before it is open."""
        self.resumed = False
        """Whether all that differed at the beginning has been handed to the link."""
        self.told = Told(0, 0.0)
        """What the edge last told of its digest: with its hello, then with each heartbeat."""
        self.acked_at = 0.0
        """When it last settled something, seconds since the epoch; 0 before the first."""
        self.rejections: dict[str, str] = {}
        """What the edge would not take, and why; the newest few."""

    @property
    def in_sync(self) -> bool:
        """Whether the edge is known to hold exactly its slice."""
        return self.resumed and not len(self.link.outbox) and not self.rejections

    @property
    def traffic(self) -> Mapping[TrafficKey, int]:
        """Bytes of this node since midnight UTC, earlier sessions included: (direction, lane, kind) → bytes.

        Directions are ``sent`` and ``received``, as the cloud sees it; lanes those of the link, ``control`` and
        ``volatile``; kinds are resources, or frame types in the lane ``control``.
        """
        return self.link.meter.today()

    @property
    def held(self) -> str:
        """Why something owed is held back by the daily cap, in a line for a person; empty where nothing is."""
        return self.link.held

    @property
    def epoch_taken(self) -> bool:
        """Whether the edge has the session's epoch on its disk, as far as is known: not one whose disk is full."""
        return self.link.confirmed and not (self.load is not None and self.load.unsaved)

    @property
    def load(self) -> Load | None:
        """The node's load as of its last heartbeat; None before the first."""
        return None if self._heartbeats is None else self._heartbeats.load

    @property
    def readings(self) -> ReadingTable | None:
        """What the node's pods use, as of its last heartbeat; None where it has told nothing."""
        return None if self._heartbeats is None else self._heartbeats.readings

    @property
    def rtt_s(self) -> float | None:
        """The smoothed round-trip time, seconds; None until measured.

        The edge tells it, because its heartbeats leave this end nothing to ping for.
        """
        if self.link.rtt_s is None and self.load is not None and self.load.rtt_us:
            return self.load.rtt_us / 1e6
        return self.link.rtt_s

    def welcome(self, welcome: Welcome) -> None:
        """Let the edge in."""
        self.link.welcome(welcome, self._clock.monotonic())
        self.resumed = welcome.resume is Resume.EQUAL
        self._driver.pump()

    def deliver(self, item: Item, lane: Lane | None = None) -> None:
        """Owe ``item`` to the edge, in its default lane or in ``lane``. Does not block."""
        self.link.send(item, self._clock.monotonic(), lane)
        self._driver.pump()

    def pump(self) -> None:
        """Have sent what may go by now, after something outside the link has changed."""
        self._driver.pump()

    def end(self, code: int, reason: str, *, retry_after_s: float = 0.0) -> None:
        """End the session and tell the edge why. Idempotent."""
        self.link.close(code, reason, self._clock.monotonic(), retry_after_s=retry_after_s)
        self._driver.pump()

    def drain(self, retry_after_s: float) -> None:
        """Send no more, and ask the edge to come back after ``retry_after_s`` seconds."""
        self.link.go_away(retry_after_s, self._clock.monotonic())
        self._driver.pump()

    async def run(self) -> Closed:
        """Drive the connection until it ends, and say how it did."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                return await self._driver.run(tasks, f"session of {self.identity.node}")
        finally:
            self._tasks = None

    def _handle(self, event: Event) -> None:
        if isinstance(event, Received | HelloReceived | InventoryReceived):
            self._todo.append(event)
            if self._worker is None and self._tasks is not None:
                self._worker = self._tasks.create_task(self._work(), name=f"session of {self.identity.node}: work")
        elif isinstance(event, VolatileReceived):
            self._take_heartbeat(event.body)
        elif isinstance(event, Settled):
            self._note_verdicts(event)
        elif isinstance(event, Closed):
            self._on_closed()

    def _on_closed(self) -> None:
        self._todo.clear()
        if self._worker is not None and self._worker is not asyncio.current_task():
            self._worker.cancel()

    async def _work(self) -> None:
        try:
            while self._todo:
                await self._do(self._todo.popleft())
        finally:
            self._worker = None

    async def _do(self, event: Event) -> None:
        if isinstance(event, HelloReceived):
            self.hello = event.hello
            self.told = Told(digest_mark(event.hello.digest), self._clock.wall())
            await self._host.open(self, event.hello)
        elif isinstance(event, InventoryReceived):
            await self._host.resume(self, list(event.entries))
            self.resumed = True
        elif isinstance(event, Received):
            verdicts = await self._host.apply(self, list(event.items))
            self.link.settle(event.batch, verdicts, self._clock.monotonic())
        self._driver.pump()

    def _take_heartbeat(self, body: bytes) -> None:
        if self._heartbeats is None:
            self._heartbeats = HeartbeatDecoder()
        try:
            load = self._heartbeats.decode(body)
        except HeartbeatError as exc:
            self.end(CloseCode.MALFORMED_FRAME, str(exc))
        else:
            if load.digest:
                self.told = Told(load.digest, self._clock.wall())
            if load.rtt_us:
                self.link.measures.round_trips.observe(load.rtt_us / 1e6)
            self._host.heartbeat(self)

    def _note_verdicts(self, event: Settled) -> None:
        self.acked_at = self._clock.wall()
        for item, verdict in zip(event.items, event.verdicts, strict=True):
            if verdict.outcome is Outcome.REJECTED:
                self.rejections[str(item.key)] = f"{verdict.code}: {verdict.reason}"
                if len(self.rejections) > REMEMBERED_REJECTIONS:
                    del self.rejections[next(iter(self.rejections))]
                self._host.rejected(self, item, verdict)
            elif self.rejections:
                self.rejections.pop(str(item.key), None)
