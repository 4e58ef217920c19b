"""The node's bytes of the day, kept over its sessions and, coarsely, over restarts of the agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from protocol.traffic import TrafficMeter

CHECKPOINT_S = 300.0
"""How often the count is put on disk: a crash forgets no more of it."""

Keep = Callable[[int, int], Awaitable[None]]
"""Puts a UTC day (days since 1970) and its bytes on disk. Does not raise where it cannot."""


async def _keep_nothing(day: int, used_bytes: int) -> None:
    """Stand in where there is no disk."""


class TrafficAccount:
    """A meter with a clock and a place to keep its count.

    Args:
        wall_clock: Returns seconds since 1970.
        keep: Puts the count on disk.
        kept: What was last kept: the UTC day and its bytes.
        daily_bytes: The cap; 0 for none.
    """

    def __init__(
        self,
        wall_clock: Callable[[], float],
        *,
        keep: Keep = _keep_nothing,
        kept: tuple[int, int] = (0, 0),
        daily_bytes: int = 0,
    ) -> None:
        self.meter = TrafficMeter(daily_bytes)
        self._wall = wall_clock
        self._keep = keep
        self._kept = kept
        self._kept_at: float | None = None

    def tell_time(self, now: float) -> None:
        """Tell the meter the time, with each heartbeat: the wall clock may be set at any moment."""
        self.meter.tell_time(self._wall(), now)
        if self._kept_at is None:
            self._kept_at = now
            self.meter.restore(*self._kept)

    async def checkpoint(self, now: float, *, at_least_every_s: float = CHECKPOINT_S) -> None:
        """Put the count on disk if that was done more than ``at_least_every_s`` seconds ago and it has changed."""
        if self._kept_at is None or now - self._kept_at < at_least_every_s:
            return
        self._kept_at = now
        state = (self.meter.day, self.meter.used_bytes)
        if state != self._kept:
            self._kept = state
            await self._keep(*state)
