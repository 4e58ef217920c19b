"""A bound on frames that move nothing: pings, heartbeats, repeats, acknowledgements of what is known.

Items are bounded by the window, which the receiver opens no faster than it commits. These frames are not; an honest
peer sends a few a minute, and one that goes back after a loss a window of repeats at once.
"""

from __future__ import annotations

from typing import Final

PER_S: Final = 200.0
"""Ten times what the shortest heartbeats anyone has asked for come to."""
BURST: Final = 5000.0
"""More than a window's worth of frames that are sent again."""


class FloodGuard:
    """Counts the frames of one link that move nothing. Times are seconds on the driver's monotonic clock."""

    __slots__ = ("_left", "_since")

    def __init__(self, now: float) -> None:
        self._left = BURST
        self._since = now

    def spend(self, now: float) -> bool:
        """Count one frame; false where there were too many."""
        self._left = min(BURST, self._left + (now - self._since) * PER_S) - 1
        self._since = now
        return self._left >= 0
