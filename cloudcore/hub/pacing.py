"""When whom to let in: spreads the nodes that must come back, and bounds how many come back at once.

Performs no I/O. A thousand nodes told to come back "in ten seconds" come back in one moment; each is given a slot of
its own instead, and within it a random point.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class PacingSettings:
    """Bounds of reconnection.

    Attributes:
        resumes_per_s: Nodes a drained or overloaded hub asks back per second.
        after_s: Shortest time to stay away, seconds.
        opening: Sessions between TLS handshake and welcome at once; the next is told to come back.
        resuming: Inventories compared side by side; the next waits.
    """

    resumes_per_s: float = 500.0
    after_s: float = 1.0
    opening: int = 1024
    resuming: int = 64


class Slots:
    """Hands out times to come back.

    Args:
        settings: The bounds.
        rng: Source of the jitter.
    """

    def __init__(self, settings: PacingSettings, rng: Random) -> None:
        self._settings = settings
        self._rng = rng
        self._next = 0.0

    def take(self, now: float) -> float:
        """Return in how many seconds the next node should come back, counted from ``now`` (monotonic seconds)."""
        width = 1.0 / self._settings.resumes_per_s
        start = max(self._next, now + self._settings.after_s)
        self._next = start + width
        return start + self._rng.random() * width - now
