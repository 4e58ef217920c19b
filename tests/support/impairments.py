"""What a bad network does to packets, one direction at a time. Pure: time and randomness are passed in."""

from __future__ import annotations

import heapq
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

MOST_HELD = 8192
"""Packets under way in one direction; what comes beyond them is lost, as in any router."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """How one direction of a link misbehaves.

    Attributes:
        delay_s: Added to every packet.
        jitter_s: Up to so much more, at random; packets keep their order.
        loss: Share of packets that are lost.
        duplicate: Share of packets that arrive twice.
        reorder: Share of packets that are held back so that later ones overtake them.
        reorder_s: How long those are held at most.
        rate_bit_s: Bits per second; 0 for no limit.
        queue_bytes: What waits for the rate limit; more is lost.
        blocked: Nothing passes, and nobody is told.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_s: float = 0.1
    rate_bit_s: float = 0.0
    queue_bytes: int = 16 * 1024
    blocked: bool = False

    def plain(self) -> dict[str, Any]:
        """Return it as plain values; ``Impairment(**plain)`` is the way back."""
        return asdict(self)


CLEAR = Impairment()


class Lane:
    """Packets under way in one direction.

    Args:
        rng: Decides which packet suffers what.
    """

    def __init__(self, rng: Random) -> None:
        self.impairment = CLEAR
        self.lost = 0
        self._rng = rng
        self._held: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._last_due = 0.0
        self._free_at = 0.0

    def impose(self, impairment: Impairment) -> None:
        """Change the weather. A cut loses what is under way; otherwise that keeps its time of arrival."""
        self.impairment = impairment
        self._free_at = 0.0
        if impairment.blocked:
            self.lost += len(self._held)
            self._held.clear()
            self._last_due = 0.0

    def push(self, packet: bytes, now: float) -> None:
        """Take a packet that was sent at ``now``."""
        how, rng = self.impairment, self._rng
        if how.blocked or rng.random() < how.loss or len(self._held) >= MOST_HELD:
            self.lost += 1
            return
        for _ in range(1 + (rng.random() < how.duplicate)):
            sent_at = self._through_the_rate_limit(len(packet), now)
            if sent_at is None:
                self.lost += 1
                return
            self._hold(packet, sent_at + how.delay_s + rng.random() * how.jitter_s)

    def pop(self, now: float) -> list[bytes]:
        """Return the packets that have arrived by ``now``."""
        arrived = []
        while self._held and self._held[0][0] <= now:
            arrived.append(heapq.heappop(self._held)[2])
        return arrived

    def next_arrival(self) -> float | None:
        """Return when the next packet arrives; None while none is under way."""
        return self._held[0][0] if self._held else None

    def _through_the_rate_limit(self, size_bytes: int, now: float) -> float | None:
        rate = self.impairment.rate_bit_s
        if not rate:
            return now
        start = max(now, self._free_at)
        if (start - now) * rate / 8 + size_bytes > self.impairment.queue_bytes:
            return None
        self._free_at = start + size_bytes * 8 / rate
        return self._free_at

    def _hold(self, packet: bytes, due: float) -> None:
        due = max(due, self._last_due)
        if self._rng.random() < self.impairment.reorder:
            due += self._rng.random() * self.impairment.reorder_s  # the next one may arrive before it
        else:
            self._last_due = due
        self._count += 1
        heapq.heappush(self._held, (due, self._count, packet))
