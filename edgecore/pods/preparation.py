"""How far a pod's volumes are: asked for, on disk, failed and tried again, brought up to date. Pure."""

from __future__ import annotations

import enum
from typing import Final

RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)


class Stage(enum.Enum):
    """How far the volumes are."""

    WANTED = "not asked for yet"
    ASKED = "being prepared"
    READY = "on disk"
    FAILED = "not to be had now"
    RELEASED = "taken off the disk"


class Preparation:
    """The volumes of one pod. Times are on the driver's monotonic clock, seconds."""

    __slots__ = ("_failures", "_retry_at", "_stage", "_stale")

    def __init__(self) -> None:
        self._stage = Stage.WANTED
        self._stale = False
        self._failures = 0
        self._retry_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether the volumes are on disk."""
        return self._stage is Stage.READY

    @property
    def released(self) -> bool:
        """Whether the volumes have been taken off the disk, or are about to be."""
        return self._stage is Stage.RELEASED

    @property
    def retry_at(self) -> float | None:
        """When to ask again for volumes that could not be had; None where that is not the case."""
        return self._retry_at if self._stage is Stage.FAILED else None

    def references_changed(self) -> None:
        """Note that something the volumes are made of has come, changed or gone."""
        self._stale = True
        self._retry_at = 0.0
        self._failures = 0

    def ask(self, now: float) -> bool:
        """Tell whether the volumes are to be prepared now; the next answer is about that."""
        due = self._stage is Stage.WANTED or (self._stage is Stage.FAILED and now >= self._retry_at)
        if not due and not (self.ready and self._stale):
            return False
        # Volumes that are there already are brought up to date beside what runs.
        if not self.ready:
            self._stage = Stage.ASKED
        self._stale = False
        return True

    def succeeded(self) -> None:
        """Note that the volumes are on disk."""
        if self._stage is Stage.ASKED:
            self._stage = Stage.READY
            self._failures = 0

    def failed(self, now: float) -> None:
        """Note that the volumes cannot be had now. Where they were being brought up to date, the old ones stand."""
        if self._stage is Stage.ASKED:
            self._stage = Stage.FAILED
            self._retry_at = now + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
            self._failures += 1

    def release(self) -> bool:
        """Tell whether the volumes are to be taken off the disk; true once."""
        if self.released:
            return False
        self._stage = Stage.RELEASED
        return True
