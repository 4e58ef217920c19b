"""What a link's outbox owes, entry by entry, and why it has not been settled. For people; performs no I/O."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass
from itertools import islice

from protocol.link import Link
from protocol.messages import Item, Lane
from protocol.outbox import Entry, OutboxKey
from protocol.sending import Flight


class Why(enum.StrEnum):
    """Why an entry is not settled yet."""

    IN_FLIGHT = "InFlight"
    """It is sent; the peer has not committed it, or its ack is on the way."""
    LATER = "Later"
    """The peer wants it later."""
    WINDOW = "WindowClosed"
    """The peer takes nothing more until it has settled something."""
    HELD = "Held"
    """The daily cap holds its lane back."""
    DRAINING = "Draining"
    """The session is about to end; it goes with the next."""
    QUEUED = "Queued"
    """It goes with one of the next batches."""


@dataclass(frozen=True, slots=True)
class Pending:
    """One key that something is owed for.

    Attributes:
        item: The item in flight, else the next to go.
        lane: Its lane.
        since: Since when the key is owed something, seconds on the driver's clock.
        why: Why it is not settled.
        sends: How often it was sent in this session.
        sent_at: When it was first sent; None where it is not in flight.
        due_at: When it is tried again; None where that is not a matter of time.
        put_off: How often the peer has answered ``later`` in a row.
        behind: Further items for the same key that wait for this one.
    """

    item: Item
    lane: Lane
    since: float
    why: Why
    sends: int = 0
    sent_at: float | None = None
    due_at: float | None = None
    put_off: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True)
class LaneState:
    """One lane of one link.

    Attributes:
        queued: Keys that wait in it.
        in_flight: Items of it that are sent and not settled.
        oldest: Since when the oldest key of it has been owed, queued or in flight; None where it is empty.
    """

    queued: int
    in_flight: int
    oldest: float | None


def pending_of(link: Link, limit: int, now: float) -> list[Pending]:
    """Return what ``link`` owes at ``now``, longest owed first, at most ``limit`` entries."""
    due = link.outbox.due()
    wanted = list(islice(link.outbox.entries(), limit))
    sent: dict[OutboxKey, Flight] = {}
    if any(entry.sent is not None for entry in wanted):
        sent = {entry.key: flight for flight in link.flights for entry in flight.entries}
    waiting, open_lanes = _reason_to_wait(link), link.meter.open_lanes(now)
    return [
        _pending(entry, sent.get(entry.key), due.get(entry.key), waiting if entry.lane < open_lanes else Why.HELD)
        for entry in wanted
    ]


def lanes_of(link: Link) -> dict[Lane, LaneState]:
    """Return the state of each lane that is not empty; looks at frames, not at items."""
    in_flight: Counter[Lane] = Counter()
    oldest: dict[Lane, float] = {}
    for flight in link.flights:
        in_flight[flight.lane] += len(flight.items)
        if flight.entries:
            oldest.setdefault(flight.lane, flight.entries[0].since)
    states = {}
    for lane in Lane:
        queued, since = link.depth(lane), link.outbox.oldest_queued(lane)
        if queued or in_flight[lane]:
            ages = [each for each in (since, oldest.get(lane)) if each is not None]
            states[lane] = LaneState(queued, in_flight[lane], min(ages, default=None))
    return states


def _reason_to_wait(link: Link) -> Why:
    if link.draining:
        return Why.DRAINING
    return Why.WINDOW if link.window_closed else Why.QUEUED


def _pending(entry: Entry, flight: Flight | None, due_at: float | None, waiting: Why) -> Pending:
    behind = len(entry.pending())
    if entry.sent is not None:
        sends, sent_at = (flight.sends, flight.sent_at) if flight is not None else (1, None)
        return Pending(
            entry.sent,
            entry.sent_lane,
            entry.since,
            Why.IN_FLIGHT,
            sends,
            sent_at,
            put_off=entry.attempts,
            behind=behind,
        )
    assert entry.item is not None
    why = Why.LATER if entry.lane < 0 else waiting
    due = due_at if why is Why.LATER else None
    return Pending(entry.item, entry.item_lane, entry.since, why, due_at=due, put_off=entry.attempts, behind=behind - 1)
