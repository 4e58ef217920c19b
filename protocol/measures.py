"""What the links of one process measure together, and who follows single items over a link. Performs no I/O.

Numbers are summed over all links that share a :class:`LinkMeasures`: a series per node would be ten thousand times as
many, and what one node does is asked of that node. Everything counts per frame, not per item: the hot path of a busy
cloud pays one addition a batch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from protocol.messages import Item, Lane, Verdict

ROUND_TRIP_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ACK_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Histogram:
    """Counts of values by upper bound, as Prometheus has them.

    Args:
        bounds: Upper bounds of the buckets, ascending; one without a bound follows the last.

    Attributes:
        bounds: The same.
        counts: Values per bucket, not cumulated; one more than there are bounds.
        total: The sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self.counts)


class LinkMeasures:
    """Counters of any number of links.

    Attributes:
        round_trips: Round-trip times, seconds.
        acks: Per lane, from a frame's first sending to its settlement, seconds. A frame counts in the lane of its most
            urgent item.
        resent: Per lane, frames that were sent once more.
        put_off: Per lane, items that the receiver answered ``later``.
    """

    __slots__ = ("acks", "put_off", "resent", "round_trips")

    def __init__(self) -> None:
        self.round_trips = Histogram(ROUND_TRIP_BOUNDS_S)
        self.acks = tuple(Histogram(ACK_BOUNDS_S) for _ in Lane)
        self.resent = [0] * len(Lane)
        self.put_off = [0] * len(Lane)


class Times(NamedTuple):
    """What the receiver of a batch tells of its times: durations, so that no clocks need agree.

    Attributes:
        received_ago_s: From the batch's arrival to the ack that says so, seconds.
        settled_ago_s: From its settlement (the commit) to that ack, seconds.
    """

    received_ago_s: float
    settled_ago_s: float


class Probe(Protocol):
    """Follows chosen items over one link. Times are seconds on the driver's clock."""

    def wants(self, items: Sequence[Item]) -> bool:
        """Tell whether a batch that is about to be sent is to be followed."""

    def sent(self, items: Sequence[Item], now: float, *, again: bool) -> None:
        """Take note that a followed batch was handed to the transport."""

    def settled(
        self, items: Sequence[Item], verdicts: Sequence[Verdict], sent_at: float, now: float, times: Times | None
    ) -> None:
        """Take note of a followed batch's verdicts.

        Args:
            items: The batch.
            verdicts: One per item; ``later`` means that it will be sent again.
            sent_at: When it was first sent.
            now: When the ack arrived.
            times: What the peer told; None where it told nothing (an older peer, or the ack was lost).
        """
