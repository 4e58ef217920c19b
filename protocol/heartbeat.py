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
======  =====================================================
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter

import msgpack

FULL_EVERY = 30
"""At ten seconds a heartbeat: everything once in five minutes."""

_SHARES = 3
_SHARE_STEP = 10  # thousandths: what moves less than a hundredth of the machine is noise
_RATE_STEP = 0.125  # of the last value
_RTT_FIELD = 6
_DIGEST_FIELD = 7
_RTT_STEP = 0.25


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


def digest_mark(digest: bytes) -> int:
    """Return what a heartbeat tells of a digest: its first four bytes, which take five on the wire."""
    return int.from_bytes(digest[:4], "big")


_values_of = attrgetter(*(field.name for field in fields(Load)))  # dataclasses.astuple would copy each value deeply


class HeartbeatEncoder:
    """The sender's side, one per session."""

    def __init__(self) -> None:
        self._told: list[int] | None = None
        self._count = 0

    def encode(self, load: Load) -> bytes:
        """Return the body of the next heartbeat."""
        values = list(_values_of(load))
        if self._told is None or self._count % FULL_EVERY == 0:
            self._told = values
            moved = dict(enumerate(values))
        else:
            moved = {i: new for i, (new, old) in enumerate(zip(values, self._told, strict=True)) if _moved(i, new, old)}
            for index, value in moved.items():
                self._told[index] = value
        self._count += 1
        packed: bytes = msgpack.packb(moved)
        return packed


class HeartbeatDecoder:
    """The receiver's side, one per session.

    Attributes:
        load: What is known so far.
    """

    def __init__(self) -> None:
        self.load = Load()

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
        if not moved:
            return self.load
        values = list(_values_of(self.load))
        for index, value in moved.items():
            if type(index) is not int or type(value) is not int or value < 0:
                raise HeartbeatError("heartbeat holds something other than whole numbers")
            if 0 <= index < len(values):
                values[index] = value
        self.load = Load(*values)
        return self.load


def _moved(index: int, new: int, old: int) -> bool:
    if index == _DIGEST_FIELD:
        return new != old
    if index < _SHARES:
        return abs(new - old) >= _SHARE_STEP
    return abs(new - old) > (_RTT_STEP if index == _RTT_FIELD else _RATE_STEP) * old
