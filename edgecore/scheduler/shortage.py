"""Whether the node is short of something, for how long already, and what it tells the cloud of it. Sans-IO.

The rules are the kubelet's: a threshold is met while there is less than it states; it stays met until the minimum
reclaim is free beyond it; a soft one counts once it was met for its grace period; a node condition begins at once and
ends only when nothing has spoken for it for the transition period, so that a node at the edge of one does not flap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgecore.thresholds import EvictionSettings, Signal, Threshold


@dataclass(frozen=True, slots=True)
class Reading:
    """How much there is of something.

    Attributes:
        available: Free now.
        capacity: In all.
    """

    available: int
    capacity: int


Readings = Mapping[Signal, Reading]
"""What could be read; a signal that could not is left out, and none of its thresholds is met."""

_ORDER = list(Signal)


class Shortages:
    """Keeps track of thresholds that are met.

    Args:
        settings: The thresholds.
        conditions: Node conditions that an earlier agent left standing.
        now: Monotonic seconds; those begin to count down here.
    """

    def __init__(self, settings: EvictionSettings, conditions: Iterable[str] = (), now: float = 0.0) -> None:
        self._settings = settings
        self._met_since: dict[Threshold, float] = {}
        self._spoken_at = dict.fromkeys(conditions, now)

    @property
    def conditions(self) -> frozenset[str]:
        """The node conditions that hold."""
        return frozenset(self._spoken_at)

    def observe(self, readings: Readings, now: float) -> list[Threshold]:
        """Take readings; return the thresholds that count now: what cannot wait first, hard ones before soft ones."""
        met = [each for each in self._settings.thresholds if self._is_met(each, readings)]
        self._met_since = {each: self._met_since.get(each, now) for each in met}
        self._spoken_at.update((each.signal.condition, now) for each in met)
        lasting = self._settings.transition_s
        self._spoken_at = {
            kind: at
            for kind, at in self._spoken_at.items()
            if now - at < lasting or any(each.signal.condition == kind for each in met)
        }
        counting = [each for each in met if now - self._met_since[each] >= each.grace_s]
        return sorted(counting, key=lambda each: (_ORDER.index(each.signal), each.soft))

    def next_change(self) -> float | None:
        """Return when a soft threshold that is met begins to count, on the monotonic clock, or None."""
        return min((since + each.grace_s for each, since in self._met_since.items() if each.soft), default=None)

    @property
    def met(self) -> frozenset[Signal]:
        """What there is too little of, whether that counts already or not."""
        return frozenset(each.signal for each in self._met_since)

    def meets(self, readings: Readings) -> bool:
        """Tell whether these readings meet some threshold."""
        return any(self._is_met(each, readings) for each in self._settings.thresholds)

    def nearness(self, readings: Readings) -> float:
        """Return how close the closest hard threshold is.

        1 at the threshold, less beyond it, 2 where there is twice as much as it states; infinite where there is none.
        """
        ratios = [
            readings[each.signal].available / at
            for each in self._settings.thresholds
            if not each.soft and each.signal in readings and (at := each.amount.of(readings[each.signal].capacity)) > 0
        ]
        return min(ratios, default=float("inf"))

    def _is_met(self, threshold: Threshold, readings: Readings) -> bool:
        reading = readings.get(threshold.signal)
        if reading is None:
            return False
        least = threshold.amount.of(reading.capacity)
        if threshold in self._met_since:
            least += threshold.reclaim.of(reading.capacity)
        return reading.available < least
