"""The body of the volatile frame by which a node shows that it lives and how busy it is.

One msgpack map from field number to a whole number; only fields that moved since the last one are in it, so an idle
node's is one byte. Every :data:`FULL_EVERY`-th holds all fields: a reader that missed some is right again soon.

======  =====================================================
field   value
======  =====================================================
0       processor use of the whole machine, thousandths
1       memory in use, thousandths
2       data folder's disk in use, thousandths
3       received on all but the loopback interface, bytes/s
4       sent on all but the loopback interface, bytes/s
5       pods bound to the node
6       smoothed round-trip time as this end measures it, µs
7       the first four bytes of the digest of what the node holds
8       1 while the node could not store the session's epoch
9       the hottest sensor, tenths of a kelvin; 0 unknown
10      use of the graphics processors, thousandths plus one; 0 none
11      requests that pods answer, thousandths a second
======  =====================================================

Fields from 9 on are left out until they are something other than 0. Far above them are the pods' readings
(:mod:`protocol.samples`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Final

import msgpack

from protocol.samples import READINGS_FROM, ReadingTable, ReadingTeller

FULL_EVERY = 30
"""At ten seconds a heartbeat: everything once in five minutes."""

_SHARE_STEP = 10  # thousandths: what moves less than a hundredth of the machine is noise
_RATE_STEP = 0.125  # of the last value
_RTT_FIELD = 6
_DIGEST_FIELD = 7
_RTT_STEP = 0.25
_OPTIONAL_FROM = 9
_STEPPED: Final = frozenset({0, 1, 2, 9, 10})  # a kelvin, a hundredth

KELVIN: Final = 2732
"""0 °C in tenths of a kelvin, rounded as the field is."""


class HeartbeatError(ValueError):
    """A heartbeat's body is not of the documented shape."""


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a node is.

    Attributes:
        cpu: Processor use, thousandths of the machine.
        memory: Memory in use, thousandths.
        disk: The data folder's disk in use, thousandths.
        rx_bytes_s: Received, bytes per second.
        tx_bytes_s: Sent, bytes per second.
        pods: Pods bound to it.
        rtt_us: Smoothed round-trip time of the link, microseconds; 0 until measured. The edge sends the pings, so
            the cloud learns it from here.
        digest: The beginning of the digest of what the node holds (:func:`digest_mark`); 0 until told.
        unsaved: 1 while the node could not store the session's epoch, its disk being full: after a crash it comes back
            with an older one.
        temperature: The hottest sensor, tenths of a kelvin; 0 where there is none.
        gpu: Use of all graphics processors, thousandths, plus one; 0 where there is none.
        requests: Requests that its pods answer, thousandths a second.
    """

    cpu: int = 0
    memory: int = 0
    disk: int = 0
    rx_bytes_s: int = 0
    tx_bytes_s: int = 0
    pods: int = 0
    rtt_us: int = 0
    digest: int = 0
    unsaved: int = 0
    temperature: int = 0
    gpu: int = 0
    requests: int = 0


def digest_mark(digest: bytes) -> int:
    """Return what a heartbeat tells of a digest: its first four bytes, which take five on the wire."""
    return int.from_bytes(digest[:4], "big")


_values_of = attrgetter(*(field.name for field in fields(Load)))  # dataclasses.astuple would copy each value deeply


class HeartbeatEncoder:
    """The sender's side, one per session."""

    def __init__(self) -> None:
        self._told: list[int] | None = None
        self._count = 0
        self._used = set(range(_OPTIONAL_FROM))
        self._readings = ReadingTeller()

    def encode(self, load: Load, readings: Mapping[int, int] | None = None) -> bytes:
        """Return the body of the next heartbeat.

        Args:
            load: How busy the node is.
            readings: What its pods use, by :func:`protocol.samples.reading_field`; None while that is not known.
        """
        values = list(_values_of(load))
        if self._told is None or self._count % FULL_EVERY == 0:
            self._told = values
            self._used.update(index for index in range(_OPTIONAL_FROM, len(values)) if values[index])
            moved = {index: values[index] for index in sorted(self._used)}
        else:
            moved = {i: new for i, (new, old) in enumerate(zip(values, self._told, strict=True)) if _moved(i, new, old)}
            for index, value in moved.items():
                self._told[index] = value
            self._used.update(moved)
        if readings is not None:
            moved |= self._readings.next(readings)
        self._count += 1
        packed: bytes = msgpack.packb(moved)
        return packed


class HeartbeatDecoder:
    """The receiver's side, one per session.

    Attributes:
        load: What is known so far.
        readings: What its pods use, as far as is known; None until something was told.
    """

    __slots__ = ("_count", "load", "readings")

    def __init__(self) -> None:
        self.load = Load()
        self.readings: ReadingTable | None = None
        self._count = 0

    def decode(self, body: bytes) -> Load:
        """Take a heartbeat in and return the load as it now stands; fields this version does not know are ignored.

        Raises:
            HeartbeatError: The body is malformed; nothing of it was taken.
        """
        try:
            moved = msgpack.unpackb(body, strict_map_key=False, max_map_len=256)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise HeartbeatError(f"heartbeat is not msgpack: {error}") from error
        if not isinstance(moved, dict):
            raise HeartbeatError("heartbeat is not a map")
        if moved:
            self._take(moved)
        self._count += 1
        if self.readings is not None and self._count % FULL_EVERY == 0:
            self.readings.forget_old(self._count)
        return self.load

    def _take(self, moved: dict[object, object]) -> None:
        values = list(_values_of(self.load))
        readings: list[tuple[int, int]] = []
        for index, value in moved.items():
            if type(index) is not int or type(value) is not int or value < 0:
                raise HeartbeatError("heartbeat holds something other than whole numbers")
            if 0 <= index < len(values):
                values[index] = value
            elif READINGS_FROM <= index < 2 * READINGS_FROM:
                readings.append((index, value))
        self.load = Load(*values)
        if readings and self.readings is None:
            self.readings = ReadingTable()
        for field, told in readings:
            assert self.readings is not None
            self.readings.take(field, told, self._count)


def _moved(index: int, new: int, old: int) -> bool:
    if index == _DIGEST_FIELD:
        return new != old
    if index in _STEPPED:
        return abs(new - old) >= _SHARE_STEP
    return abs(new - old) > (_RTT_STEP if index == _RTT_FIELD else _RATE_STEP) * old
