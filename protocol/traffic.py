"""Bytes of one node's link by direction, lane and kind, and what a daily cap on them holds back. Performs no I/O.

A frame counts with its header, after compression; what TLS, WebSocket and TCP add (some 60 to 100 bytes a frame) is
not known here. A batch's bytes are shared out in proportion to what its items weigh. The day is UTC's: the owner tells
the wall clock's time now and then, in between the monotonic clock is counted on.

The cap takes both directions together, for that is what is paid for; each side holds back what it sends. Nothing is
dropped: what is held waits in the outbox, coalescing, until midnight or until the cap is raised.

=================  ==========================================
used of the cap    what this side still sends
=================  ==========================================
below 80 %         everything
80 %               all but the bulk lane
95 %               all but the bulk and twin lanes
100 %              the lease lane, heartbeats, acks, pings
=================  ==========================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Final

from protocol.frames import FrameType
from protocol.messages import Item, Lane, Op
from protocol.objects.resources import NODE_STATUS

DAY_S: Final = 86_400
MAX_KINDS: Final = 64
"""Keys counted apart. A peer names the resources it sends, so that their number must not grow at its will."""
OTHER: Final = "other"
CONTROL: Final = "control"
"""The lane of frames that carry no items: acks, pings, the handshake, inventories."""
VOLATILE: Final = "volatile"
"""The lane of heartbeats."""
ITEM_WEIGHT: Final = 64
"""What an item's names weigh beside its body when a batch's bytes are shared out: about what they take on the wire."""

ALL_LANES: Final = len(Lane)
_THRESHOLDS: Final = ((0.80, Lane.BULK), (0.95, Lane.TWIN), (1.00, Lane.DELETE))
"""From this share of the cap on, this lane and all less urgent ones are held."""
_ARRIVING: Final = (Lane.SPEC, Lane.DELETE, Lane.BULK)  # indexed by Op: a lane does not travel, so it is inferred

TrafficKey = tuple[str, str, str]
"""Direction, lane, kind: ``("sent", "spec", "configmaps")``, ``("received", "control", "ack")``."""


class Direction:
    """Which way, as seen from the side that counts. Plain strings: an enumeration's take longer to look up."""

    SENT: Final = "sent"
    RECEIVED: Final = "received"


class TrafficMeter:
    """Counts the bytes of one node; it outlives the node's sessions.

    Args:
        daily_bytes: The cap of a UTC day, both directions together; 0 for none.

    Attributes:
        daily_bytes: The same; may be changed at any time.
        day: The UTC day that is counted, days since 1970-01-01; 0 until the time was told.
        used_bytes: Bytes of that day.
        total: Bytes since this meter was made, by key; only ever grows.
    """

    __slots__ = ("_base", "_midnight", "daily_bytes", "day", "total", "used_bytes")

    def __init__(self, daily_bytes: int = 0) -> None:
        self.daily_bytes = daily_bytes
        self.day = 0
        self.used_bytes = 0
        self.total: dict[TrafficKey, int] = {}
        self._base: dict[TrafficKey, int] = {}
        self._midnight: float | None = None

    def tell_time(self, wall: float, now: float) -> None:
        """Take the wall clock's time (seconds since 1970) at the monotonic time ``now``.

        A clock that was set back opens no new day: its bytes go on counting. One that was days ahead is not waited for.
        """
        day = int(wall // DAY_S)
        if day < self.day - 1:
            self.day = day
        if day > self.day:
            if self.day:
                self._begin_day()
            self.day = day
        self._midnight = now + (self.day + 1) * DAY_S - wall

    def restore(self, day: int, used_bytes: int) -> None:
        """Add what an earlier process counted on ``day``, if that is the day that is counted now.

        The caller tells the time first.
        """
        if day == self.day:
            self.used_bytes += max(0, used_bytes)

    def today(self) -> dict[TrafficKey, int]:
        """Return this day's bytes by key, as far as this process counted them."""
        base = self._base
        return {key: count - base.get(key, 0) for key, count in self.total.items() if count > base.get(key, 0)}

    def note(self, direction: str, lane: str, kind: str, size_bytes: int, now: float) -> None:
        """Count ``size_bytes``."""
        if self._midnight is not None and now >= self._midnight:
            days = int((now - self._midnight) // DAY_S) + 1
            self._midnight += days * DAY_S
            self.day += days
            self._begin_day()
        self.used_bytes += size_bytes
        key = (direction, lane, kind)
        before = self.total.get(key)
        if before is None:
            key = _shared(direction, lane, kind if len(self.total) < MAX_KINDS else OTHER)
            before = self.total.get(key, 0)
        self.total[key] = before + size_bytes

    def note_frame(self, direction: str, frame: FrameType, size_bytes: int, now: float) -> None:
        """Count a frame other than a batch."""
        self.note(direction, *_CONTROL_KINDS[frame], size_bytes, now)

    def note_batch(
        self,
        direction: str,
        items: Sequence[Item],
        lanes: Sequence[int] | None,
        size_bytes: int,
        now: float,
        *,
        alike: bool | None = None,
    ) -> None:
        """Count a batch of ``size_bytes``, shared out over its items.

        Args:
            direction: Which way it went.
            items: Its items, at least one.
            lanes: The lane of each; None where they are not known and follow from the items.
            size_bytes: The frame's bytes.
            now: The time.
            alike: Whether all are of one lane and one resource, as in most batches; None: not known to the caller.
        """
        resource = items[0][1][0]
        if alike is None:
            lanes = list(map(arriving_lane, items)) if lanes is None else lanes
            resources = [item[1][0] for item in items]
            alike = resources.count(resource) == len(items) == lanes.count(lanes[0])
        if alike:
            lane = arriving_lane(items[0]) if lanes is None else lanes[0]
            self.note(direction, _LANE_NAMES[lane], resource, size_bytes, now)
            return
        weights: dict[tuple[int, str], int] = {}
        for item, lane in zip(items, lanes or map(arriving_lane, items), strict=True):
            key = (lane, item[1][0])
            weights[key] = weights.get(key, 0) + len(item[4]) + ITEM_WEIGHT
        left_bytes, left_weight = size_bytes, sum(weights.values())
        for (lane, resource), weight in weights.items():
            share = left_bytes * weight // left_weight  # the last one gets the rest, so that nothing is rounded away
            left_bytes, left_weight = left_bytes - share, left_weight - weight
            self.note(direction, _LANE_NAMES[lane], resource, share, now)

    def open_lanes(self, now: float) -> int:
        """Return how many lanes, the most urgent first, may send."""
        if not self.daily_bytes or (self._midnight is not None and now >= self._midnight):
            return ALL_LANES
        return ALL_LANES if (first := self._first_held()) is None else first

    def next_midnight(self) -> float | None:
        """Return when the cap begins anew, on the monotonic clock; None where no time was told."""
        return self._midnight

    def held(self, now: float) -> str:
        """Return why lanes are held, in a line for a person; empty where none is."""
        lanes = self.open_lanes(now)
        if lanes == ALL_LANES:
            return ""
        names = ", ".join(_LANE_NAMES[lanes:])
        return (
            f"link.daily_bytes: {self.used_bytes} of {self.daily_bytes} bytes used on {self._date()}; "
            f"held until 00:00 UTC: {names}"
        )

    def _first_held(self) -> Lane | None:
        held = [lane for share, lane in _THRESHOLDS if self.used_bytes >= share * self.daily_bytes]
        return held[-1] if held else None

    def _begin_day(self) -> None:
        self.used_bytes = 0
        self._base = dict(self.total)

    def _date(self) -> str:
        return date.fromordinal(date(1970, 1, 1).toordinal() + self.day).isoformat()


def arriving_lane(item: Item) -> Lane:
    """Return the lane in which the peer sends ``item`` by default; lanes do not travel."""
    return Lane.LEASE if item[1][0] == NODE_STATUS and item[0] is Op.PUT else _ARRIVING[item[0]]


def sum_by_key(parts: Iterable[Mapping[TrafficKey, int]]) -> dict[TrafficKey, int]:
    """Return the sums of several counts, key by key."""
    sums: dict[TrafficKey, int] = {}
    for part in parts:
        for key, count in part.items():
            sums[key] = sums.get(key, 0) + count
    return sums


_LANE_NAMES: Final = tuple(lane.name.lower() for lane in Lane)


_CONTROL_KINDS: Final = [("", "")] * (max(FrameType) + 1)
for _frame in FrameType:
    _CONTROL_KINDS[_frame] = (VOLATILE, "heartbeat") if _frame is FrameType.VOLATILE else (CONTROL, _frame.name.lower())
"""Lane and kind of each frame type; indexed by its number."""


@lru_cache(maxsize=1024)
def _shared(direction: str, lane: str, kind: str) -> TrafficKey:
    """Return one tuple for all nodes: a thousand nodes count the same few things."""
    return direction, lane, kind
