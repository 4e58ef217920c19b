"""The clock that drivers read and cores are spared: it is injected everywhere, so that tests own time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for people, one for intervals."""

    def wall(self) -> float:
        """Return seconds since the epoch. It may jump; it is for timestamps in objects only."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never jumps. Every interval and timeout is measured on it."""


class SystemClock:
    """The machine's own clocks."""

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds on the monotonic clock."""
        return time.monotonic()
