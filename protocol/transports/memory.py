"""A pair of connections inside one event loop, with faults to order. For tests and simulations.

Everything random comes from the seeded ``random.Random`` of :class:`Faults`, and delays run on the loop's clock, so
that a run under virtual time repeats exactly. Order is kept: a delayed frame delays those behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from protocol.errors import ConnectionClosed
from protocol.frames import MAX_FRAME_BYTES, CloseCode

CLOCK_STEP_S = 1e-6
"""Virtual time moves in steps of this: what is nearer than one is now, or the clock would never get there."""

QUEUE_FRAMES = 64
"""Frames that may be under way in one direction; a sender waits for room (back-pressure)."""


@dataclass(slots=True)
class Faults:
    """What goes wrong in one direction; change the fields at any time.

    Attributes:
        drop: Probability that a frame vanishes.
        duplicate: Probability that a frame arrives twice.
        corrupt: Probability that one byte of a frame changes.
        delay_s: Lower and upper bound of a frame's time under way, seconds.
        rng: Source of all randomness.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    delay_s: tuple[float, float] = (0.0, 0.0)
    rng: Random = field(default_factory=lambda: Random(0))

    def apply(self, frame: bytes) -> list[bytes]:
        """Return what arrives of ``frame``."""
        if self.drop and self.rng.random() < self.drop:
            return []
        if self.corrupt and frame and self.rng.random() < self.corrupt:
            index = self.rng.randrange(len(frame))
            frame = frame[:index] + bytes([frame[index] ^ self.rng.randrange(1, 256)]) + frame[index + 1 :]
        if self.duplicate and self.rng.random() < self.duplicate:
            return [frame, frame]
        return [frame]


class _Pipe:
    """One direction: frames with the time at which each arrives, and how the direction has ended, if it has."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.closed: ConnectionClosed | None = None
        self._frames: deque[tuple[float, bytes]] = deque()
        self._last_arrival = 0.0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, frame: bytes) -> None:
        while self.closed is None and len(self._frames) >= QUEUE_FRAMES:
            self._room.clear()
            await self._room.wait()
        if self.closed is not None:
            raise self.closed
        now = asyncio.get_running_loop().time()
        for survivor in self.faults.apply(frame):
            self._last_arrival = max(self._last_arrival, now + self.faults.rng.uniform(*self.faults.delay_s))
            self._frames.append((self._last_arrival, survivor))
        self._arrived.set()

    async def get(self) -> bytes:
        while True:
            wait_s: float | None = None
            if self._frames:
                wait_s = self._frames[0][0] - asyncio.get_running_loop().time()
                if wait_s < CLOCK_STEP_S:
                    self._room.set()
                    return self._frames.popleft()[1]
            elif self.closed is not None:
                raise self.closed
            self._arrived.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._arrived.wait()
            except TimeoutError:
                continue  # the first frame has arrived

    def close(self, ending: ConnectionClosed, *, lose: bool) -> None:
        """End the direction; ``lose`` loses what is under way."""
        if lose:
            self._frames.clear()
        self.closed = self.closed or ending
        self._arrived.set()
        self._room.set()


class MemoryConnection:
    """One end of a pair made by :func:`memory_pair`; a ``protocol.transports.base.Connection``."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe, address: str, certificate: bytes | None) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._address = address
        self._certificate = certificate

    @property
    def faults(self) -> Faults:
        """What goes wrong with the frames that this end sends."""
        return self._outgoing.faults

    @property
    def peer_certificate(self) -> bytes | None:
        """The certificate that :func:`memory_pair` was given for the peer."""
        return self._certificate

    @property
    def peer_address(self) -> str:
        """A name for logs."""
        return self._address

    @property
    def bytes_received(self) -> int:
        """Always 0: frames arrive whole here."""
        return 0

    async def send(self, frames: Sequence[bytes]) -> None:
        """Put ``frames`` under way; waits while :data:`QUEUE_FRAMES` are."""
        for frame in frames:
            if len(frame) > MAX_FRAME_BYTES:
                await self.close(CloseCode.MESSAGE_TOO_BIG, f"frame of {len(frame)} bytes")
            await self._outgoing.put(frame)

    async def receive(self) -> bytes:
        """Return the next frame; those sent before an orderly close still arrive."""
        return await self._incoming.get()

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """End both directions: the peer still gets what is under way, this end gets nothing more."""
        ending = ConnectionClosed(code, reason)
        self._outgoing.close(ending, lose=False)
        self._incoming.close(ending, lose=True)

    def cut(self) -> None:
        """End both directions as a broken network does: what is under way is lost, on both sides."""
        ending = ConnectionClosed(CloseCode.ABNORMAL, "connection cut")
        self._outgoing.close(ending, lose=True)
        self._incoming.close(ending, lose=True)


def memory_pair(
    rng: Random | None = None,
    *,
    first_certificate: bytes | None = None,
    second_certificate: bytes | None = None,
) -> tuple[MemoryConnection, MemoryConnection]:
    """Return two connected ends; ``send`` on one is ``receive`` on the other.

    Args:
        rng: Source of the faults' randomness, shared by both directions.
        first_certificate: What the second end sees as its peer's certificate (DER).
        second_certificate: What the first end sees as its peer's certificate (DER).
    """
    rng = rng or Random(0)
    forth, back = _Pipe(Faults(rng=rng)), _Pipe(Faults(rng=rng))
    first = MemoryConnection(forth, back, "memory:second", second_certificate)
    second = MemoryConnection(back, forth, "memory:first", first_certificate)
    return first, second
