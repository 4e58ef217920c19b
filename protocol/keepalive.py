"""Keepalive: notices a dead peer and measures the round-trip time.

Whatever arrives proves the peer alive. After a silence of ``interval_s`` a ping goes out; after ``dead_s`` of
silence the peer is dead. A heartbeat may carry the ping, so that a link with heartbeats needs no other.
"""

from __future__ import annotations

_IDS = 127  # ping ids 1..127 take one byte on the wire


class Keepalive:
    """The keepalive of one link. Times are seconds on the driver's monotonic clock.

    Args:
        interval_s: Silence after which to ping.
        dead_s: Silence after which the peer is dead.
        now: The time the connection was opened.
    """

    __slots__ = ("_alive_at", "_asked_at", "_heard_at", "_id", "_waiting", "dead_s", "interval_s", "rtt_s", "sample_s")

    def __init__(self, interval_s: float, dead_s: float, now: float) -> None:
        self.interval_s = interval_s
        self.dead_s = dead_s
        self.rtt_s: float | None = None
        self.sample_s = 0.0
        self._heard_at = now
        self._alive_at = now
        self._asked_at = now
        self._id = 0
        self._waiting = False

    def heard(self, now: float) -> None:
        """Note that something arrived."""
        self._heard_at = now

    def heard_part(self, now: float) -> None:
        """Note that a part of a frame arrived: the peer lives. It is asked for a whole one as before."""
        self._alive_at = now

    def ping(self, now: float) -> int:
        """Return the id of a ping that is sent now."""
        self._id = self._id % _IDS + 1
        self._asked_at = now
        self._waiting = True
        return self._id

    def pong(self, ping: int, now: float) -> bool:
        """Take the answer to a ping; true if it answers the newest one, whose round trip it then measures."""
        if not self._waiting or ping != self._id:
            return False
        self._waiting = False
        sample = self.sample_s = max(0.0, now - self._asked_at)
        self.rtt_s = sample if self.rtt_s is None else self.rtt_s + (sample - self.rtt_s) / 8  # RFC 6298, alpha 1/8
        return True

    def ping_due(self, now: float) -> bool:
        """Return whether the silence calls for a ping now."""
        return now >= self._next_ping()

    def dead(self, now: float) -> bool:
        """Return whether the peer has been silent for too long."""
        return now >= self._dies_at()

    def next_timer(self) -> float:
        """Return when to look again."""
        return min(self._next_ping(), self._dies_at())

    def _dies_at(self) -> float:
        return max(self._heard_at, self._alive_at) + self.dead_s

    def _next_ping(self) -> float:
        return max(self._heard_at, self._asked_at) + self.interval_s
