"""What a heartbeat tells of the pods: one whole number per container and metric, as changes only.

A reading's field number is made from the pod's uid, the container's name and the metric, so that both ends know it
without agreeing on anything first: 1, then the low 28 bits of the BLAKE2b hash of ``uid NUL container``, then the
metric's three bits: far above the node's own fields. What a pod tells as a whole has the container "".
A value is told as one more than it is; 0 says that the reading is no more.

The reader keeps nine bytes a reading and no names: a cloud holds thousands of nodes' worth of them.
"""

from __future__ import annotations

import enum
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Final

from protocol.objects.keys import Uid

READINGS_FROM: Final = 1 << 31
"""The lowest field number of a reading; the highest is below twice that."""
MAX_READINGS: Final = 1024
"""A reader keeps no more of one node, and a sender tells no more."""
MAX_AT_ONCE: Final = 96
"""Readings in one heartbeat: 960 bytes at most. The rest comes with the next ones."""
RESTATE_EVERY: Final = 30
"""After so many heartbeats a reading is told again, whether it has moved or not."""
FORGET_AFTER: Final = 3
"""A reading that was not told in so many times that is forgotten: it got lost that it is no more."""

_HIGHEST: Final = (1 << 32) - 1
_MARK_BITS: Final = (1 << 28) - 1
_STEP: Final = 1 / 16  # of the last value: an autoscaler tolerates a tenth


class Metric(enum.IntEnum):
    """What is measured."""

    CPU = 0
    """Thousandths of a processor."""
    MEMORY = 1
    """In use, KiB."""
    RECEIVED = 2
    """Bytes a second."""
    SENT = 3
    """Bytes a second."""
    REQUESTS = 4
    """Requests answered, thousandths a second."""
    GPU = 5
    """``gpu.utilization``, thousandths of a percent."""


_LEAST: Final[dict[int, int]] = {
    Metric.CPU: 5,
    Metric.MEMORY: 1024,
    Metric.RECEIVED: 1024,
    Metric.SENT: 1024,
    Metric.REQUESTS: 100,
    Metric.GPU: 2000,
}
"""Smaller moves are noise."""


def reading_field(uid: Uid, container: str, metric: Metric) -> int:
    """Return the field number of one reading.

    Args:
        uid: The pod's.
        container: The container's name; empty for what the pod tells as a whole.
        metric: What is measured.
    """
    mark = int.from_bytes(blake2b(f"{uid}\0{container}".encode(), digest_size=4).digest(), "big")
    return READINGS_FROM | (mark & _MARK_BITS) << 3 | metric


class ReadingTeller:
    """The sender's side: decides which readings to tell. One per session."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[int, int]] = {}  # field → value, and the heartbeat it was told by
        self._beat = 0

    def next(self, readings: Mapping[int, int]) -> dict[int, int]:
        """Return what the next heartbeat tells, at most :data:`MAX_AT_ONCE` fields.

        Args:
            readings: Every present reading by its field number; those beyond :data:`MAX_READINGS` are never told.
        """
        self._beat += 1
        if not readings and not self._told:
            return {}
        gone = [field for field in self._told if field not in readings]
        due = [field for field in list(readings)[:MAX_READINGS] if self._due(field, readings[field])]
        due.sort(key=self._told_at)  # what waits longest goes first, so that nothing waits for ever
        told: dict[int, int] = {}
        for field in [*gone, *due][:MAX_AT_ONCE]:
            if field in readings:
                value = min(readings[field], _HIGHEST - 1)
                self._told[field] = value, self._beat
                told[field] = value + 1
            else:
                del self._told[field]
                told[field] = 0
        return told

    def _told_at(self, field: int) -> int:
        return self._told[field][1] if field in self._told else 0

    def _due(self, field: int, value: int) -> bool:
        if field not in self._told:
            return True
        before, beat = self._told[field]
        least = _LEAST.get(field & 7, 1)
        return self._beat - beat >= RESTATE_EVERY or abs(value - before) >= max(least, before * _STEP)


class ReadingTable:
    """The receiver's side: the readings of one node as they stand, nine bytes each."""

    __slots__ = ("_fields", "_told", "_values")

    def __init__(self) -> None:
        self._fields = array("I")  # sorted
        self._values = array("I")
        self._told = array("B")  # in which run of RESTATE_EVERY heartbeats, modulo 256

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield field number and value of every reading."""
        return zip(self._fields, self._values, strict=True)

    def get(self, field: int) -> int | None:
        """Return a reading's value; None where there is none."""
        at = self._at(field)
        return self._values[at] if at >= 0 else None

    def take(self, field: int, told: int, beat: int) -> None:
        """Take one field of the heartbeat number ``beat`` in; beyond :data:`MAX_READINGS` new ones are left out.

        Args:
            field: Its number, below 2³² and not below :data:`READINGS_FROM`.
            told: What it holds: one more than the value, or 0.
            beat: How many heartbeats came before.
        """
        at = self._at(field)
        if told == 0:
            if at >= 0:
                self._drop(at)
            return
        value, run = min(told - 1, _HIGHEST), beat // RESTATE_EVERY & 0xFF
        if at >= 0:
            self._values[at], self._told[at] = value, run
        elif len(self._fields) < MAX_READINGS:
            at = bisect_left(self._fields, field)
            self._fields.insert(at, field)
            self._values.insert(at, value)
            self._told.insert(at, run)

    def forget_old(self, beat: int) -> None:
        """Forget what has not been told for long; to be called at least each :data:`RESTATE_EVERY` heartbeats."""
        run = beat // RESTATE_EVERY
        for at in reversed(range(len(self._fields))):
            if run - self._told[at] & 0xFF > FORGET_AFTER:
                self._drop(at)

    def _at(self, field: int) -> int:
        at = bisect_left(self._fields, field)
        return at if at < len(self._fields) and self._fields[at] == field else -1

    def _drop(self, at: int) -> None:
        for column in (self._fields, self._values, self._told):
            del column[at]
