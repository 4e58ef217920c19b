"""One node's connection: moves bytes between a transport and a Link, and the Link's events to who handles them.

Contract. A session owns three activities in one task group: the caller's own task reads; one task writes, woken by an
event, and arms the link's one timer; a third exists only while there is something to do that may wait (opening,
comparing an inventory, applying reports) and does it strictly in order. What waits for the third is bounded by the
link's window. :meth:`Session.deliver` neither waits nor fails: the link's outbox coalesces per object, so a slow node
holds up nobody. Whoever ends the session first wins; the peer is told why in the link's last frame.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

import structlog

from cloudcore.clock import Clock
from cloudcore.security.identity import Identity
from protocol.errors import ConnectionClosed
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
from protocol.heartbeat import HeartbeatDecoder, HeartbeatError, Load
from protocol.link import Link
from protocol.messages import Hello, InventoryEntry, Item, Outcome, Resume, Verdict, Welcome
from protocol.transports.base import Connection

log = structlog.get_logger(__name__)

REMEMBERED_REJECTIONS: Final = 64


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
        "_close_s",
        "_connection",
        "_heartbeats",
        "_host",
        "_tasks",
        "_timer",
        "_timer_at",
        "_todo",
        "_wake",
        "_worker",
        "_writer",
        "address",
        "confirmed",
        "hello",
        "identity",
        "link",
        "node_revision",
        "rejections",
        "resumed",
        "since",
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
        self._connection = connection
        self._clock = clock
        self._close_s = close_s
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._todo: deque[Event] = deque()
        self._tasks: asyncio.TaskGroup | None = None
        self._worker: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._heartbeats: HeartbeatDecoder | None = None
        self.identity = identity
        self.link = link
        self.transport = transport
        self.address = connection.peer_address
        self.since = clock.wall()
        self.hello: Hello | None = None
        self.node_revision = 0
        """Revision of the Node object that let this session in; 0 before it is open."""
        self.confirmed = False
        """Whether the edge has said anything since the welcome, and so has stored its epoch."""
        self.resumed = False
        """Whether all that differed at the beginning has been handed to the link."""
        self.rejections: dict[str, str] = {}
        """What the edge would not take, and why; the newest few."""

    @property
    def in_sync(self) -> bool:
        """Whether the edge is known to hold exactly its slice."""
        return self.resumed and not len(self.link.outbox) and not self.rejections

    @property
    def load(self) -> Load | None:
        """The node's load as of its last heartbeat; None before the first."""
        return None if self._heartbeats is None else self._heartbeats.load

    def welcome(self, welcome: Welcome) -> None:
        """Let the edge in."""
        self.link.welcome(welcome, self._clock.monotonic())
        self.resumed = welcome.resume is Resume.EQUAL
        self._wake.set()

    def deliver(self, item: Item) -> None:
        """Owe ``item`` to the edge. Does not block."""
        self.link.send(item, self._clock.monotonic())
        self._wake.set()

    def end(self, code: int, reason: str, *, retry_after_s: float = 0.0) -> None:
        """End the session and tell the edge why. Idempotent."""
        self.link.close(code, reason, self._clock.monotonic(), retry_after_s=retry_after_s)
        self._after_link()

    def drain(self, retry_after_s: float) -> None:
        """Send no more, and ask the edge to come back after ``retry_after_s`` seconds."""
        self.link.go_away(retry_after_s, self._clock.monotonic())
        self._wake.set()

    async def run(self) -> Closed:
        """Drive the connection until it ends, and say how it did."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._writer = tasks.create_task(self._write(), name=f"session of {self.identity.node}: write")
                await self._read()
        finally:
            self._tasks = None
            self._disarm()
        closed = self.link.closed
        assert closed is not None
        return closed

    async def _read(self) -> None:
        link, clock = self.link, self._clock
        try:
            while link.closed is None:
                data = await self._connection.receive()
                greeted = link.epoch != 0
                link.receive(data, clock.monotonic())
                self.confirmed = greeted and link.closed is None
                self._after_link()
        except ConnectionClosed as exc:
            link.connection_lost(exc.code, exc.reason)
            self._after_link()

    async def _write(self) -> None:
        try:
            while True:
                frames = self.link.data_to_send(self._clock.monotonic())
                if frames:
                    await self._connection.send(frames)
                elif self.link.closed is not None:
                    return
                else:
                    self._arm()
                    await self._wake.wait()
                    self._wake.clear()
        except ConnectionClosed as exc:
            self.link.connection_lost(exc.code, exc.reason)
        finally:
            self._after_link()
            await self._close_connection()

    async def _close_connection(self) -> None:
        closed = self.link.closed
        code, reason = (closed.code, closed.reason) if closed is not None else (CloseCode.GOING_AWAY, "shutting down")
        # A code that must not go on the wire (RFC 6455 §7.4.1) is replaced; nobody is there to read it anyway.
        await self._connection.close(CloseCode.GOING_AWAY if code == CloseCode.ABNORMAL else code, reason)

    def _after_link(self) -> None:
        """Hand on the link's events and wake the writer if need be; called whenever the link was given something."""
        while (event := self.link.next_event()) is not None:
            self._handle(event)
        if not self.link.quiet:
            self._wake.set()

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
        if self._writer is not None:
            # A peer that takes nothing must not keep the session: its last frame has this long.
            asyncio.get_running_loop().call_later(self._close_s, self._writer.cancel)

    async def _work(self) -> None:
        try:
            while self._todo:
                await self._do(self._todo.popleft())
        finally:
            self._worker = None

    async def _do(self, event: Event) -> None:
        if isinstance(event, HelloReceived):
            self.hello = event.hello
            await self._host.open(self, event.hello)
        elif isinstance(event, InventoryReceived):
            await self._host.resume(self, list(event.entries))
            self.resumed = True
        elif isinstance(event, Received):
            verdicts = await self._host.apply(self, list(event.items))
            self.link.settle(event.batch, verdicts, self._clock.monotonic())
        self._after_link()

    def _take_heartbeat(self, body: bytes) -> None:
        if self._heartbeats is None:
            self._heartbeats = HeartbeatDecoder()
        try:
            self._heartbeats.decode(body)
        except HeartbeatError as exc:
            self.end(CloseCode.MALFORMED_FRAME, str(exc))
        else:
            self._host.heartbeat(self)

    def _note_verdicts(self, event: Settled) -> None:
        for item, verdict in zip(event.items, event.verdicts, strict=True):
            if verdict.outcome is Outcome.REJECTED:
                self.rejections[str(item.key)] = f"{verdict.code}: {verdict.reason}"
                if len(self.rejections) > REMEMBERED_REJECTIONS:
                    del self.rejections[next(iter(self.rejections))]
                self._host.rejected(self, item, verdict)
            elif self.rejections:
                self.rejections.pop(str(item.key), None)

    def _arm(self) -> None:
        due = self.link.next_timer()
        if due is None:
            self._disarm()
        elif self._timer is None or due < self._timer_at:
            self._disarm()
            # A timer that fires early finds nothing due and is armed anew; moving it at each frame would cost more.
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)
            self._timer_at = due

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self.link.handle_timer(self._clock.monotonic())
        self._after_link()
        self._arm()  # not left to the writer, which may be held up by the very silence this timer is for
