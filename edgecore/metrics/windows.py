"""Rates of counters over the time between two looks at them. Performs no I/O.

A counter that fell has begun anew (a restarted program, a replaced interface): what it shows has all come since. A
clock that stood still or went back tells nothing: the last rate stands, and the next window begins here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class _Mark(NamedTuple):
    counter: float
    at: float
    rate: float | None


class Rates(Generic[K]):
    """The rates of a set of counters that comes and goes."""

    def __init__(self) -> None:
        self._marks: dict[K, _Mark] = {}

    def update(self, counters: Mapping[K, float], now: float, *, waiting: Iterable[K] = ()) -> dict[K, float]:
        """Take counters in and return the rates that are known, per second.

        A counter has one from its second look on. Those that are neither in ``counters`` nor ``waiting`` are forgotten.

        Args:
            counters: What each has counted so far.
            now: Seconds on a monotonic clock.
            waiting: Counters that could not be read this time: their rates stand, their windows go on.
        """
        marks = {key: self._marks[key] for key in waiting if key in self._marks}
        marks |= {key: _next(self._marks.get(key), counter, now) for key, counter in counters.items()}
        self._marks = marks
        return {key: mark.rate for key, mark in marks.items() if mark.rate is not None}


def _next(before: _Mark | None, counter: float, now: float) -> _Mark:
    if before is None:
        return _Mark(counter, now, None)
    if now <= before.at:
        return _Mark(counter, now, before.rate)
    gained = counter - before.counter if counter >= before.counter else counter
    return _Mark(counter, now, gained / (now - before.at))
