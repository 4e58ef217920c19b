"""Drives a Link over a Connection: moves its frames, arms its one timer, hands out its events.

Contract. The task that calls :meth:`LinkDriver.run` reads; one task in that caller's group writes, woken by an event.
The timer is a callback of its own and not the writer's: a peer that takes nothing holds the writer up, and this timer
is what notices. Events are handed out, in order, in the step in which the link was given something; the handler must
not block, and may call link and driver again. Nothing is queued here: what waits, waits in the link's outbox. When
the link has ended, its last frame has ``close_s`` to leave; then the connection is closed, with the link's code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from protocol.errors import ConnectionClosed
from protocol.events import Closed, Event
from protocol.frames import CloseCode
from protocol.link import Link
from protocol.transports.base import Connection

CLOSE_S: Final = 5.0
STRETCH: Final = 64
"""Frames that are read in one step. A peer can have thousands of small ones ready, and others want the loop too."""


class LinkDriver:
    """Moves one link's bytes over one connection. Call :meth:`run` once.

    Args:
        link: The link; its owner may call it at any time, and then calls :meth:`pump`.
        connection: The transport, owned by this driver from now on.
        on_event: Takes the link's events.
        clock: Returns monotonic seconds; the clock on which the link was made.
        close_s: How long the last frame may take to leave, seconds.
    """

    __slots__ = (
        "_arrived",
        "_clock",
        "_close_s",
        "_connection",
        "_deadline",
        "_due",
        "_link",
        "_on_event",
        "_timer",
        "_timer_at",
        "_wake",
    )

    def __init__(
        self,
        link: Link,
        connection: Connection,
        on_event: Callable[[Event], None],
        *,
        clock: Callable[[], float],
        close_s: float = CLOSE_S,
    ) -> None:
        self._link = link
        self._connection = connection
        self._on_event = on_event
        self._clock = clock
        self._close_s = close_s
        self._arrived = 0
        self._due = False
        self._wake: asyncio.Future[None] | None = None  # an Event would hold a deque for the one who waits
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._deadline: asyncio.Timeout | None = None

    def pump(self) -> None:
        """Hand out the link's events and have sent what it wants sent. Call it after any call to the link."""
        link = self._link
        while (event := link.next_event()) is not None:
            self._on_event(event)
        if link.closed is not None:
            self._limit_last_frame()
        if not link.quiet:
            self._due = True
            if self._wake is not None and not self._wake.done():
                self._wake.set_result(None)

    async def run(self, tasks: asyncio.TaskGroup, name: str) -> Closed:
        """Drive until the link has ended and the connection is closed, and say how the link ended.

        Args:
            tasks: Owns the writer; it must not outlive the caller's work with the link.
            name: What the writer's task is named after.
        """
        writer = tasks.create_task(self._write(), name=f"{name}: write")
        try:
            await self._read()
            await asyncio.wait([writer])
        finally:
            self._disarm()
            await self._close_connection()  # a writer that is cancelled before its first step closes nothing
        closed = self._link.closed
        assert closed is not None
        return closed

    async def _read(self) -> None:
        link, connection, clock = self._link, self._connection, self._clock
        try:
            while True:
                for _ in range(STRETCH):
                    if link.closed is not None:
                        return
                    link.receive(await connection.receive(), clock())
                    self._arrived = connection.bytes_received
                    self.pump()
                await asyncio.sleep(0)
        except ConnectionClosed as exc:
            link.connection_lost(exc.code, exc.reason)
            self.pump()

    async def _write(self) -> None:
        try:
            async with asyncio.timeout(None) as self._deadline:
                self.pump()  # the link may have ended before anything ran
                self._arm()
                await self._write_all()
        except ConnectionClosed as exc:
            self._link.connection_lost(exc.code, exc.reason)
        except TimeoutError:
            pass  # the last frame did not leave: the connection is closed without it
        finally:
            self._deadline = None
            self.pump()
            await self._close_connection()

    async def _write_all(self) -> None:
        while True:
            frames = self._link.data_to_send(self._clock())
            if frames:
                await self._connection.send(frames)
            elif self._link.closed is not None:
                return
            else:
                self._arm()
                await self._until_due()

    async def _until_due(self) -> None:
        """Wait until :meth:`pump` has seen something to write."""
        if not self._due:
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        self._due = False

    def _limit_last_frame(self) -> None:
        """Give the writer ``close_s`` from now on."""
        if self._deadline is not None and self._deadline.when() is None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._close_s)

    async def _close_connection(self) -> None:
        closed = self._link.closed
        code, reason = (closed.code, closed.reason) if closed is not None else (CloseCode.GOING_AWAY, "shutting down")
        # A code that must not go on the wire (RFC 6455 §7.4.1) is replaced; nobody is there to read it anyway.
        await self._connection.close(CloseCode.GOING_AWAY if code == CloseCode.ABNORMAL else code, reason)

    def _arm(self) -> None:
        due = self._link.next_timer()
        if due is None:
            self._disarm()
        elif self._timer is None or due < self._timer_at:
            self._disarm()
            # A timer that fires early finds nothing due and is armed anew; moving it at each frame would cost more.
            delay_s = max(0.0, due - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)
            self._timer_at = due

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._arrived != (arrived := self._connection.bytes_received):
            # A part of a frame: on a slow link a large one takes longer than a silent peer may live.
            self._arrived = arrived
            self._link.heard(self._clock())
        # The loop may be a step of its clock early; the link would then ask for the same time again.
        self._link.handle_timer(max(self._clock(), self._timer_at))
        self.pump()
        self._arm()  # not left to the writer, which may be held up by the very silence this timer is for
