"""How long ago each node was last heard of. Sans-IO; times are seconds on the monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

STALL_S = 1.0
"""A look that comes this much later than it was due shows that the cloud itself was stopped."""
AFTER_STALL_S = 15.0
"""What a node then has at least to be heard: a heartbeat's period and time to reconnect."""


@dataclass(slots=True)
class _Heard:
    """One node: what was last seen of it, when, and when it is next looked at."""

    beat: str
    at: float
    due: float | None = None


class LeaseTracker:
    """Ages of leases, counted from the later of the last renewal and the tracker's start.

    A lease's age is what passed on *our* clock since its content last changed. After a time in which the cloud did not
    run (a suspended machine, a stalled loop) nodes get time to be heard, for then they could not have been.

    Args:
        start: When the cloud started.
        grace_s: How long a lease may go without renewal, seconds.
    """

    def __init__(self, start: float, grace_s: float) -> None:
        self._start = start
        self._grace_s = grace_s
        self._heard: dict[str, _Heard] = {}

    def note(self, node: str, beat: str, now: float) -> bool:
        """Take note of a sign of life: any text that differs between two of them.

        Returns:
            Whether it is a new one.
        """
        known = self._heard.get(node)
        if known is None:
            self._heard[node] = _Heard(beat, now)
            return True
        if known.beat == beat:
            return False
        known.beat, known.at = beat, now
        return True

    def look(self, node: str, now: float) -> float:
        """Return the seconds until the node's lease runs out; zero or less: it has. Call again at that time."""
        known = self._heard.setdefault(node, _Heard("", self._start))
        if known.due is not None and now - known.due > STALL_S:
            known.at = max(known.at, now - self._grace_s + AFTER_STALL_S)
        left_s = known.at + self._grace_s - now
        known.due = now + left_s if left_s > 0 else None
        return left_s

    def forget(self, node: str) -> None:
        """Forget a node that was deleted."""
        self._heard.pop(node, None)
