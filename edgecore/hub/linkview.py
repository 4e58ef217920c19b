"""The way to the cloud in numbers, for ``edgecore status``: what is owed upwards, and how the link does. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from edgecore.hub.owing import item_of
from edgecore.meta.upstream import Owed
from protocol.link import Link
from protocol.measures import LinkMeasures
from protocol.messages import Lane
from protocol.pending import lanes_of
from protocol.traffic import TrafficMeter, arriving_lane


def outbox_view(link: Link | None, owed: Iterable[Owed], now: float) -> dict[str, Any]:
    """Return what waits for the cloud, per lane.

    Args:
        link: The session's link; None while there is none: ages are then not known, only numbers.
        owed: What the store owes.
        now: Seconds on the link's clock.
    """
    rows = list(owed)
    if link is None:
        counts = Counter(arriving_lane(item_of(row)) for row in rows)
        lanes = [{"lane": lane.name.lower(), "queued": counts[lane], "inFlight": 0} for lane in Lane if counts[lane]]
        return {"pending": len(rows), "oldestSeconds": None, "held": "", "lanes": lanes}
    return {
        "pending": max(len(rows), len(link.outbox)),
        "oldestSeconds": round(link.lag_s(now), 3),
        "held": link.held,
        "lanes": [
            {
                "lane": lane.name.lower(),
                "queued": state.queued,
                "inFlight": state.in_flight,
                "oldestSeconds": None if state.oldest is None else round(now - state.oldest, 3),
            }
            for lane, state in lanes_of(link).items()
        ],
    }


def measures_view(measures: LinkMeasures, meter: TrafficMeter) -> dict[str, Any]:
    """Return what all sessions since the agent started have counted."""
    trips = measures.round_trips
    return {
        "roundTrips": {"count": trips.count, "meanMs": _mean_ms(trips.total, trips.count)},
        "acks": {
            lane.name.lower(): {"frames": acks.count, "meanMs": _mean_ms(acks.total, acks.count)}
            for lane, acks in zip(Lane, measures.acks, strict=True)
            if acks.count
        },
        "resentFrames": _by_lane(measures.resent),
        "putOffItems": _by_lane(measures.put_off),
        "bytesToday": [
            {"direction": direction, "lane": lane, "kind": kind, "bytes": count}
            for (direction, lane, kind), count in sorted(meter.today().items())
        ],
    }


def _by_lane(counts: Iterable[int]) -> dict[str, int]:
    return {lane.name.lower(): count for lane, count in zip(Lane, counts, strict=True) if count}


def _mean_ms(total_s: float, count: int) -> float | None:
    return round(total_s / count * 1000, 3) if count else None
