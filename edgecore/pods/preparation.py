"""How far a pod's volumes are: asked for, on disk, failed and tried again, brought up to date. Pure.

What is on disk is brought up to date at once when a change comes after a while of rest. While changes keep coming,
each time waits longer than the one before (:data:`REFRESH_S`), and writes what is newest by then: a ConfigMap of 1 MiB
that is changed a thousand times a minute costs 100 KB/s of the disk, not 17 MB/s.
"""

from __future__ import annotations

import enum
from typing import Final

RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
REFRESH_S: Final = (1.0, 2.0, 5.0, 10.0)
"""At least so long between one refresh and the next; twice as long without a change, and it begins anew."""


class Stage(enum.Enum):
    """How far the volumes are."""

    WANTED = "not asked for yet"
    ASKED = "being prepared"
    READY = "on disk"
    FAILED = "not to be had now"
    RELEASED = "taken off the disk"


class Preparation:
    """The volumes of one pod. Times are on the driver's monotonic clock, seconds."""

    __slots__ = ("_failures", "_refresh_at", "_refreshes", "_retry_at", "_stage", "_stale")

    def __init__(self) -> None:
        self._stage = Stage.WANTED
        self._stale = False
        self._failures = 0
        self._retry_at = 0.0
        self._refreshes = 0
        self._refresh_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether the volumes are on disk."""
        return self._stage is Stage.READY

    @property
    def released(self) -> bool:
        """Whether the volumes have been taken off the disk, or are about to be."""
        return self._stage is Stage.RELEASED

    @property
    def due_at(self) -> float | None:
        """When to ask again: for volumes that could not be had, or that are out of date; None where none is."""
        if self._stage is Stage.FAILED:
            return self._retry_at
        return self._refresh_at if self.ready and self._stale else None

    def references_changed(self) -> None:
        """Note that something the volumes are made of has come, changed or gone."""
        self._stale = True
        self._retry_at = 0.0
        if not self.ready:
            self._failures = 0

    def ask(self, now: float) -> bool:
        """Tell whether the volumes are to be prepared now; the next answer is about that."""
        if self.ready:
            return self._ask_again(now)
        if self._stage is not Stage.WANTED and not (self._stage is Stage.FAILED and now >= self._retry_at):
            return False
        self._stage = Stage.ASKED
        self._stale = False
        return True

    def _ask_again(self, now: float) -> bool:
        """Tell whether volumes that are there are brought up to date now, beside what runs."""
        if not self._stale or now < self._refresh_at:
            return False
        before_s = _step(REFRESH_S, self._refreshes - 1) if self._refreshes else 0.0
        rested = now >= self._refresh_at + before_s
        gap_s = _step(REFRESH_S, 0 if rested else self._refreshes)
        self._refreshes = 1 if rested else self._refreshes + 1
        self._refresh_at = now + gap_s
        self._stale = False
        return True

    def succeeded(self) -> None:
        """Note that the volumes are on disk."""
        if self._stage is Stage.ASKED:
            self._stage = Stage.READY
        self._failures = 0

    def failed(self, now: float) -> None:
        """Note that the volumes cannot be had now. Where they were being brought up to date, the old ones stand."""
        retry_at = now + _step(RETRY_S, self._failures)
        if self._stage is Stage.ASKED:
            self._stage = Stage.FAILED
            self._retry_at = retry_at
        elif self.ready:
            self._stale = True
            self._refresh_at = max(self._refresh_at, retry_at)
        self._failures += 1

    def release(self) -> bool:
        """Tell whether the volumes are to be taken off the disk; true once."""
        if self.released:
            return False
        self._stage = Stage.RELEASED
        return True


def _step(delays_s: tuple[float, ...], number: int) -> float:
    return delays_s[min(number, len(delays_s) - 1)]
