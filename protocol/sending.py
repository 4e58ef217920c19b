"""The sending half of a session: batches, window, redelivery. Used by :mod:`protocol.link`.

Redelivery rests on evidence. A frame that the peer says it has received is never sent again, however long the peer
takes to commit it. A gap that the peer reports is filled at once, from the missing frame on (go back N); silence
makes the retry policy send the oldest unreceived frame again, whose answer says what is missing. What is under way on a
slow link is not missing: silence begins when it should have arrived at ``floor_bytes_s``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from random import Random

from protocol.errors import RemoteProtocolError
from protocol.events import Settled
from protocol.frames import CloseCode, FrameType
from protocol.measures import LinkMeasures, Probe, Times
from protocol.messages import APPLIED, InventoryEntry, Item, Lane, Outcome, Verdict
from protocol.outbox import ITEM_OVERHEAD_BYTES, Entry, Outbox, weight_of
from protocol.payloads import INVENTORY_CHUNK, MAX_BATCH_ITEMS, Ack, Grant, encode_batch, encode_inventory
from protocol.settings import LinkSettings
from protocol.traffic import ALL_LANES, TrafficMeter

Exceptions = dict[int, list[tuple[int, Verdict]]]


@dataclass(slots=True)
class Chunk:
    """One part of an inventory."""

    entries: Sequence[InventoryEntry]
    last: bool


@dataclass(slots=True)
class Flight:
    """One sequenced frame that is not settled: a batch, or a chunk of the inventory."""

    sequence: int
    items: Sequence[Item]
    entries: Sequence[Entry]
    weight: int
    chunk: Chunk | None = None
    sent_at: float = 0.0
    sends: int = 0
    end_bytes: int = 0
    probed: bool = False

    @property
    def lane(self) -> Lane:
        """The lane of its most urgent item; bulk where it has none."""
        return self.entries[0].sent_lane if self.entries else Lane.BULK

    @property
    def count(self) -> int:
        """What the flight takes of the window, items."""
        return len(self.items) if self.chunk is None else len(self.chunk.entries)


Payload = tuple[FrameType, bytes, Flight]


class Sender:
    """The sending half of one session over an attached outbox.

    Args:
        outbox: What is to be sent.
        settings: The link's settings.
        rng: Source of jitter.
        measures: Where to count.
        meter: Knows which lanes a daily cap holds.

    Attributes:
        held: Why something queued may not go because of the cap, as of the last look; empty where nothing is held.
        probe: Follows chosen items; None while nobody does, which is all that sending then asks.
    """

    __slots__ = (
        "_chunks",
        "_flights",
        "_last_sequence",
        "_linger_until",
        "_measures",
        "_meter",
        "_more_at",
        "_outbox",
        "_received",
        "_received_bytes",
        "_resend_from",
        "_retries",
        "_retry_at",
        "_rng",
        "_sent_bytes",
        "_settings",
        "_settled",
        "draining",
        "held",
        "in_flight_items",
        "in_flight_weight",
        "probe",
        "window",
    )

    def __init__(
        self, outbox: Outbox, settings: LinkSettings, rng: Random, measures: LinkMeasures, meter: TrafficMeter
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._rng = rng
        self._measures = measures
        self._meter = meter
        self.held = ""
        self.probe: Probe | None = None
        self._chunks: deque[Chunk] | None = None
        self._flights: deque[Flight] = deque()
        self._last_sequence = 0
        self._settled = 0
        self._received = 0
        self._sent_bytes = 0
        self._received_bytes = 0
        self._linger_until: float | None = None
        self._more_at: float | None = None
        self._resend_from: int | None = None
        self._retries = 0
        self._retry_at: float | None = None
        self.window = Grant(0, 0)
        self.in_flight_items = 0
        self.in_flight_weight = 0
        self.draining = False

    def add_inventory(self, entries: Sequence[InventoryEntry]) -> None:
        """Queue an inventory, in chunks, ahead of any further batch."""
        starts = range(0, max(1, len(entries)), INVENTORY_CHUNK)
        chunks = [Chunk(entries[start : start + INVENTORY_CHUNK], last=False) for start in starts]
        chunks[-1].last = True
        self._chunks = deque(chunks)

    @property
    def flights(self) -> Sequence[Flight]:
        """The frames that are not settled, oldest first; to be read only."""
        return self._flights

    @property
    def window_closed(self) -> bool:
        """Whether the peer's window takes nothing more for now."""
        return not self._room()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to send, whatever the time: most calls of a driver find it so."""
        return not (
            self._outbox.queued_items or self._chunks or self._resend_from is not None or self._more_at is not None
        )

    def payloads(self, now: float) -> Iterator[Payload]:
        """Yield what may go out now, up to about ``burst_bytes``."""
        budget = self._settings.burst_bytes
        yield from self._resends(now)
        self._more_at = None
        while (flight := self._next_flight(now)) is not None:
            self._flights.append(flight)
            self.in_flight_items += flight.count
            self.in_flight_weight += flight.weight
            budget -= flight.weight
            flight.sent_at = now
            if self.probe is not None and flight.items:
                self._show_sent(self.probe, flight, now)
            yield self._encode(flight)
            if budget <= 0:
                self._more_at = now
                return

    @property
    def progress(self) -> int:
        """A number that grows with each frame that the peer has received or settled."""
        return self._received + self._settled

    def sized(self, flight: Flight, size_bytes: int, now: float) -> None:
        """Take note of how long the frame is that was made of a payload just yielded; its first sending counts."""
        flight.sends += 1
        if flight.sends == 1:
            self._sent_bytes += size_bytes
            flight.end_bytes = self._sent_bytes
            if self._retry_at is None:
                self._arm_retry(now)

    def acknowledge(self, ack: Ack, now: float) -> Settled | None:
        """Take an ack and return what it settled for good.

        Raises:
            RemoteProtocolError: It names what was never sent.
        """
        if ack.received > self._last_sequence:
            raise RemoteProtocolError(CloseCode.BAD_ACK, f"ack of frame {ack.received}, {self._last_sequence} sent")
        if ack.window is not None:
            self.window = ack.window
        self._note_received(ack.received, now)
        if ack.settled <= self._settled:
            return None
        self._settled = ack.settled
        exceptions: Exceptions = {}
        for sequence, index, verdict in ack.exceptions:
            exceptions.setdefault(sequence, []).append((index, verdict))
        items: list[Item] = []
        verdicts: list[Verdict] = []
        while self._flights and self._flights[0].sequence <= ack.settled:
            flight = self._flights.popleft()
            self.in_flight_items -= flight.count
            self.in_flight_weight -= flight.weight
            self._measures.acks[flight.lane].observe(now - flight.sent_at)
            if flight.probed:
                self._show_settled(flight, ack, exceptions, now)
            if flight.sequence not in exceptions:
                self._outbox.applied(flight.entries)
                items.extend(flight.items)
                verdicts.extend(repeat(APPLIED, len(flight.items)))
            else:
                self._settle_singly(flight, exceptions[flight.sequence], items, verdicts, now)
        return Settled(items, verdicts) if items else None

    def missing(self, received: int, now: float) -> None:
        """Take the peer's word that the frame after ``received`` is missing: send again from there."""
        self._note_received(min(received, self._last_sequence), now)
        if self._flights and received < self._last_sequence:
            self._resend_from = received + 1

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` wants to be called, or None."""
        linger_until = self._linger_until if self._room() else None  # a closed window opens with an ack, not in time
        midnight = self._meter.next_midnight() if self.held else None
        times = (self._more_at, linger_until, self._retry_at, self._outbox.next_wake(), midnight)
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Do what is due.

        Raises:
            RemoteProtocolError: The peer does not receive, however often it is sent.
        """
        self._outbox.wake(now)
        if self._retry_at is not None and now >= self._retry_at:
            if not self._settings.redelivery.allows(self._retries):
                raise RemoteProtocolError(CloseCode.NOT_DELIVERED, f"frame {self._received + 1} was never received")
            self._retries += 1
            self._resend_from = -1
            self._arm_retry(now)

    def check_invariants(self) -> None:
        """Assert what must always hold; called by tests."""
        assert self.in_flight_items == sum(flight.count for flight in self._flights)
        assert self.in_flight_weight == sum(flight.weight for flight in self._flights)
        assert [flight.sequence for flight in self._flights] == list(range(self._settled + 1, self._last_sequence + 1))
        for flight in self._flights:
            assert [entry.sent for entry in flight.entries] == list(flight.items)
            if flight.chunk is None:
                assert flight.weight == sum(map(weight_of, flight.items))

    def _next_flight(self, now: float) -> Flight | None:
        if not self._room():
            return None
        if self._chunks:
            chunk = self._chunks.popleft()
            return self._flight([], [], ITEM_OVERHEAD_BYTES * len(chunk.entries), chunk)
        lanes = self._open_lanes(now)
        if not lanes or not self._may_take(now):
            return None
        room = max(0, self.window.weight - self.in_flight_weight)
        queued_bytes = self._outbox.queued_bytes
        entries = self._outbox.take(
            min(self._settings.max_batch_items, MAX_BATCH_ITEMS, self.window.items - self.in_flight_items),
            min(self._settings.max_batch_bytes, room),
            lanes,
        )
        self._linger_until = None
        items = [entry.sent for entry in entries if entry.sent is not None]
        return self._flight(items, entries, queued_bytes - self._outbox.queued_bytes, None)

    def _flight(self, items: Sequence[Item], entries: Sequence[Entry], weight: int, chunk: Chunk | None) -> Flight:
        self._last_sequence += 1
        return Flight(self._last_sequence, items, entries, weight, chunk)

    def _room(self) -> bool:
        """Return whether the window takes anything more. One item may overdraw its bytes, never its items."""
        return self.in_flight_items < self.window.items and self.in_flight_weight < self.window.weight

    def _open_lanes(self, now: float) -> int:
        """Return how many lanes, the most urgent first, may be sent from; 0 where all that is queued is held."""
        lanes = self._meter.open_lanes(now)
        if lanes == ALL_LANES:
            self.held = ""
            return lanes
        free = sum(self._outbox.depth(lane) for lane in Lane if lane < lanes)
        self.held = self._meter.held(now) if free < self._outbox.queued_items else ""
        return lanes if free else 0

    def _may_take(self, now: float) -> bool:
        """Return whether a batch may go now; where it must linger, remember until when."""
        outbox = self._outbox
        if not outbox.queued_items or self.draining:
            return False
        if not self._flights or outbox.queued_bytes >= self._settings.busy_bytes or outbox.depth(Lane.LEASE):
            return True
        if self._linger_until is None:
            self._linger_until = now + self._settings.linger_s
        return now >= self._linger_until

    def _resends(self, now: float) -> Iterator[Payload]:
        first = self._resend_from
        if first is None:
            return
        self._resend_from = None
        probe = first < 0
        for flight in self._flights:
            if flight.sequence > self._received and flight.sequence >= first:
                self._measures.resent[flight.lane] += 1
                if flight.probed and self.probe is not None:
                    self.probe.sent(flight.items, now, again=True)
                yield self._encode(flight)
                if probe:
                    return
        if not probe:
            self._arm_retry(now)

    def _encode(self, flight: Flight) -> Payload:
        if flight.chunk is None:
            payload = encode_batch(flight.sequence, self._settled, flight.items, timed=flight.probed)
            return FrameType.BATCH, payload, flight
        chunk = flight.chunk
        payload = encode_inventory(flight.sequence, self._settled, chunk.entries, last=chunk.last)
        return FrameType.INVENTORY, payload, flight

    def _show_sent(self, probe: Probe, flight: Flight, now: float) -> None:
        flight.probed = probe.wants(flight.items)
        if flight.probed:
            probe.sent(flight.items, now, again=False)

    def _show_settled(self, flight: Flight, ack: Ack, exceptions: Exceptions, now: float) -> None:
        if self.probe is None:
            return
        verdicts = [APPLIED] * len(flight.items)
        for index, verdict in exceptions.get(flight.sequence, ()):
            if index < len(verdicts):  # beyond, the ack is about to be refused
                verdicts[index] = verdict
        told = [row for row in ack.times if row[0] == flight.sequence]
        times = Times(told[0][1] / 1e6, told[0][2] / 1e6) if told else None
        self.probe.settled(flight.items, verdicts, flight.sent_at, now, times)

    def _note_received(self, received: int, now: float) -> None:
        if received > self._received:
            if self._flights:  # they are numbered without a gap; the newest, the one received, is near the end mostly
                self._received_bytes = self._flights[received - self._flights[0].sequence].end_bytes
            self._received = received
            self._retries = 0
            if received < self._last_sequence:
                self._arm_retry(now)
        if self._received >= self._last_sequence:
            self._retry_at = None

    def _arm_retry(self, now: float) -> None:
        policy = self._settings.redelivery
        under_way_s = (self._sent_bytes - self._received_bytes) / self._settings.floor_bytes_s
        self._retry_at = now + under_way_s + policy.timeout_s + policy.delay_s(self._retries, self._rng)

    def _settle_singly(
        self,
        flight: Flight,
        exceptions: Sequence[tuple[int, Verdict]],
        items: list[Item],
        verdicts: list[Verdict],
        now: float,
    ) -> None:
        answers = [APPLIED] * len(flight.items)
        for index, verdict in exceptions:
            if index >= len(answers):
                raise RemoteProtocolError(CloseCode.BAD_ACK, f"verdict on item {index} of {len(answers)}")
            answers[index] = verdict
        for entry, item, verdict in zip(flight.entries, flight.items, answers, strict=True):
            if verdict.outcome is Outcome.LATER:
                self._measures.put_off[entry.sent_lane] += 1
                self._outbox.defer(entry, now + self._settings.later.delay_s(entry.attempts, self._rng))
            else:
                self._outbox.applied((entry,))
                items.append(item)
                verdicts.append(verdict)
