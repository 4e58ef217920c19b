"""One reliable session between an edge and the cloud, sans-IO: both ends are this class.

Theory of operation: the edge says hello; the cloud's owner checks it and answers with a welcome, which carries the
session's epoch. From then on both directions are alike. Sequenced frames (batches, inventory chunks) are delivered
in order, each once; the receiver's owner settles them after its commit and the link acknowledges. Volatile frames
are neither sequenced nor acknowledged. Every frame after the handshake carries the epoch and is checked against it.
Any violation by the peer ends the session with an error frame and a close code; nothing raises out of ``receive``.

::

    side   state       may receive                        leaves by
    EDGE   NEW         nothing                            start → GREETED
    EDGE   GREETED     WELCOME                            WELCOME → OPEN
    CLOUD  NEW         HELLO                              HELLO → GREETED
    CLOUD  GREETED     nothing                            welcome → OPEN, refuse → CLOSED
    both   OPEN        BATCH ACK NACK INVENTORY VOLATILE  close, error, violation, silence → CLOSED
                       PING PONG GOAWAY
    both   not CLOSED  ERROR                              → CLOSED
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import ClassVar

from protocol import payloads
from protocol.compression import available
from protocol.dictionaries import KNOWN
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.events import (
    Closed,
    Event,
    GoingAway,
    HelloReceived,
    InventoryReceived,
    Received,
    VolatileReceived,
    WelcomeReceived,
)
from protocol.flood import FloodGuard
from protocol.frames import MAX_BODY_BYTES, CloseCode, FrameType, decode_frame
from protocol.framing import FrameWriter
from protocol.gathering import InventoryGatherer
from protocol.keepalive import Keepalive
from protocol.measures import LinkMeasures, Probe
from protocol.messages import Hello, InventoryEntry, Item, Lane, Verdict, Welcome
from protocol.outbox import ITEM_OVERHEAD_BYTES, Outbox
from protocol.payloads import Buffer, Fault, Grant, Offer
from protocol.receiving import Receiver
from protocol.sending import Flight, Sender
from protocol.settings import MAX_WINDOW_ITEMS, LinkSettings
from protocol.states import ADMISSIBLE, Side, State
from protocol.traffic import Direction, TrafficMeter

__all__ = ["Link", "Side", "State"]

_EPOCH_BITS = 0xFFFFFFFF
_MAX_PENDING = 16
"""Frames that wait to be taken by the driver; beyond, no volatile one is added."""


class Link:
    """One end of a reliable session. Performs no I/O and reads no clock.

    After any call the driver writes out ``data_to_send(now)``, drains ``next_event()`` and arms one timer for
    ``next_timer()``. Times are seconds on the driver's monotonic clock. A link lives for one connection; the outbox
    may outlive it.

    Args:
        side: Which end this is.
        settings: How to batch, compress and wait.
        rng: Source of jitter.
        outbox: What is owed to the peer. It is attached to this link: another link that still holds it ends as
            superseded.
        now: The time the connection was opened.
        measures: Where to count; shared by any number of links. None: for this link alone.
        meter: Counts this node's bytes and knows its daily cap; it may outlive the link. None: for this link alone,
            without a cap.
    """

    __slots__ = (
        "_closed",
        "_epoch",
        "_events",
        "_flood",
        "_frames",
        "_generation",
        "_handshake_until",
        "_hello",
        "_inventory",
        "_keepalive",
        "_pong",
        "_received_at_open",
        "_receiver",
        "_sender",
        "bytes_received",
        "measures",
        "meter",
        "outbox",
        "settings",
        "side",
        "state",
    )

    def __init__(
        self,
        side: Side,
        settings: LinkSettings,
        rng: Random,
        outbox: Outbox | None = None,
        *,
        now: float = 0.0,
        measures: LinkMeasures | None = None,
        meter: TrafficMeter | None = None,
    ) -> None:
        if settings.window.items > MAX_WINDOW_ITEMS:
            raise LocalProtocolError(f"window of {settings.window.items} items, limit {MAX_WINDOW_ITEMS}")
        self.side = side
        self.settings = settings
        self.state = State.NEW
        self.outbox = outbox if outbox is not None else Outbox()
        self.bytes_received = 0
        self.measures = measures or LinkMeasures()
        self.meter = meter if meter is not None else TrafficMeter()
        self._generation = self.outbox.attach()
        self._sender = Sender(self.outbox, settings, rng, self.measures, self.meter)
        self._receiver = Receiver(settings.window)
        self._keepalive = Keepalive(settings.keepalive_s, settings.dead_s, now)
        self._handshake_until = now + settings.handshake_s
        self._epoch = 0
        self._frames = FrameWriter(settings)
        self._received_at_open = 0
        self._hello: Hello | None = None
        self._inventory = InventoryGatherer(settings)
        self._pong = 0
        self._flood = FloodGuard(now)
        self._events: deque[Event] = deque()
        self._closed: Closed | None = None

    # What the owner reads.

    @property
    def epoch(self) -> int:
        """The session's epoch; 0 until it is open."""
        return self._epoch

    @property
    def bytes_sent(self) -> int:
        """Bytes of all frames handed out so far."""
        return self._frames.bytes_handed_out

    @property
    def closed(self) -> Closed | None:
        """How the session ended; None while it has not. The driver closes the transport with its code and reason."""
        return self._closed

    @property
    def confirmed(self) -> bool:
        """Whether the session is open and the peer has spoken in it, and so knows its epoch."""
        return self.state is State.OPEN and self.bytes_received > self._received_at_open

    @property
    def rtt_s(self) -> float | None:
        """The smoothed round-trip time, seconds; None until measured."""
        return self._keepalive.rtt_s

    @property
    def in_flight(self) -> int:
        """How many items are sent and not settled."""
        return self._sender.in_flight_items

    @property
    def flights(self) -> Sequence[Flight]:
        """The frames that are sent and not settled, oldest first; to be read only."""
        return self._sender.flights

    @property
    def held(self) -> str:
        """Why the daily cap holds something that is owed, in a line for a person; empty where it does not."""
        return self._sender.held

    @property
    def window_closed(self) -> bool:
        """Whether the peer's window takes nothing more for now."""
        return self._sender.window_closed

    @property
    def draining(self) -> bool:
        """Whether this side has asked the peer to go, and so sends no further batch."""
        return self._sender.draining

    @property
    def probe(self) -> Probe | None:
        """Follows chosen items; None while nobody does."""
        return self._sender.probe

    @probe.setter
    def probe(self, probe: Probe | None) -> None:
        self._sender.probe = probe

    @property
    def unsettled(self) -> int:
        """How many received items this side's owner has not settled."""
        return self._receiver.unsettled_items

    @property
    def quiet(self) -> bool:
        """Whether ``data_to_send`` has nothing to return and ``next_timer`` has not become earlier.

        A driver that asks after ``receive`` need not wake whatever writes for each ack that comes in.
        """
        return (
            self.state is State.OPEN
            and not self._frames.pending
            and not self._pong
            and not self._receiver.ack_due
            and not self._receiver.nack_due
            and self._sender.idle
            and self.outbox.next_wake() is None
            and self._generation == self.outbox.generation
        )

    def depth(self, lane: Lane) -> int:
        """Return how many items wait in ``lane``."""
        return self.outbox.depth(lane)

    def lag_s(self, now: float) -> float:
        """Return for how long the oldest unsettled item has been owed, seconds; 0 when nothing is owed."""
        since = self.outbox.oldest_since()
        return 0.0 if since is None else max(0.0, now - since)

    # What the owner asks for.

    def start(self, hello: Hello, now: float) -> None:
        """Edge: introduce this node.

        Raises:
            LocalProtocolError: This is not a new edge link.
        """
        self._require(Side.EDGE, State.NEW)
        self._hello = hello
        self.state = State.GREETED
        self._handshake_until = now + self.settings.handshake_s
        self._emit(FrameType.HELLO, payloads.encode_hello(hello, self._offer()), now)

    def welcome(self, welcome: Welcome, now: float) -> None:
        """Cloud: accept the edge and open the session under ``welcome.epoch``.

        Does nothing where the session has ended while the owner was checking.

        Raises:
            LocalProtocolError: No hello is waiting for an answer, or the epoch is not newer than the edge's.
        """
        if self.state is State.CLOSED:
            return
        self._require(Side.CLOUD, State.GREETED)
        if self._hello is None or welcome.epoch <= self._hello.epoch:
            raise LocalProtocolError(f"epoch {welcome.epoch} is not newer than the edge's")
        self._open_session(welcome, now)
        self._emit(FrameType.WELCOME, payloads.encode_welcome(welcome, self._offer()), now)

    def refuse(self, code: int, reason: str, now: float, *, retry_after_s: float = 0.0) -> None:
        """Cloud: turn the edge away; it comes back no sooner than after ``retry_after_s`` seconds."""
        self.close(code, reason, now, retry_after_s=retry_after_s)

    def send(self, item: Item, now: float, lane: Lane | None = None) -> None:
        """Owe ``item`` to the peer. It may be called at any time; before the session is open it waits.

        Raises:
            LocalProtocolError: The body is over the limit.
            OutboxFull: It is a command and too many wait.
        """
        if len(item[4]) > MAX_BODY_BYTES:
            raise LocalProtocolError(f"{item.key}: body of {len(item.body)} bytes, limit {MAX_BODY_BYTES}")
        self.outbox.put(item, now, lane)

    def send_volatile(self, body: bytes, now: float) -> None:
        """Send ``body`` once, unacknowledged; it also asks the peer for a sign of life.

        Dropped unless the session is open, and while many frames wait to leave: heartbeats must not pile up before a
        peer that speaks but takes nothing off the wire.
        """
        if self.state is State.OPEN and len(self._frames.pending) < _MAX_PENDING:
            self._emit(FrameType.VOLATILE, payloads.encode_volatile(self._keepalive.ping(now), body), now)

    def send_inventory(self, entries: Sequence[InventoryEntry], now: float) -> None:
        """Edge: send what this node holds, as the welcome asked. Does nothing after the session has ended.

        Raises:
            LocalProtocolError: The session is not an edge's open one.
        """
        if self.state is State.CLOSED:
            return
        self._require(Side.EDGE, State.OPEN)
        self._sender.add_inventory(entries)

    def settle(self, batch: int, verdicts: Sequence[Verdict] | None, now: float) -> None:
        """Settle a received batch, after the commit; None means that every item was applied.

        After the session has ended it does nothing: the peer will offer the items again.

        Raises:
            LocalProtocolError: The batch is not waiting, or the verdicts are not one per item.
        """
        if self.state is State.OPEN:
            self._receiver.settle(batch, verdicts, now)

    def grant(self, window: Grant, now: float) -> None:
        """Change what the peer may have unsettled; ``Grant(0, 0)`` stops it without dropping anything.

        Raises:
            LocalProtocolError: The window is over the limit.
        """
        if window.items > MAX_WINDOW_ITEMS:
            raise LocalProtocolError(f"window of {window.items} items, limit {MAX_WINDOW_ITEMS}")
        self._receiver.grant(window)

    def go_away(self, retry_after_s: float, now: float) -> None:
        """Drain: send no further batches, and ask the peer to reconnect after ``retry_after_s`` seconds.

        What is in flight may still be settled; the owner closes the link when it has waited long enough.
        """
        if self.state is State.OPEN:
            self._sender.draining = True
            self._emit(FrameType.GOAWAY, payloads.encode_number(retry_after_s), now)

    def close(self, code: int, reason: str, now: float, *, retry_after_s: float = 0.0) -> None:
        """End the session and tell the peer why. Idempotent."""
        if self.state is State.CLOSED:
            return
        self._emit(FrameType.ERROR, payloads.encode_fault(Fault(code, reason, retry_after_s)), now)
        self._finish(Closed(code, reason, retry_after_s))

    def connection_lost(self, code: int, reason: str) -> None:
        """Take note that the transport has ended."""
        if self.state is not State.CLOSED:
            self._finish(Closed(code, reason, remote=True))

    # What the driver calls.

    def receive(self, data: bytes, now: float) -> None:
        """Take one frame from the transport. Never raises for what the peer did: the session ends instead."""
        if self.state is State.CLOSED:
            return
        self.bytes_received += len(data)
        try:
            self._check_generation()
            frame = decode_frame(data)
            if frame.type not in ADMISSIBLE[self.side, self.state]:
                raise RemoteProtocolError(
                    CloseCode.UNEXPECTED_FRAME, f"{frame.type.name} in state {self.side.value} {self.state.value}"
                )
            self._check_epoch(frame.type, frame.epoch)
            self._keepalive.heard(now)
            if frame.type is FrameType.BATCH:
                self._on_batch(frame.payload, len(data), now)
            else:
                self.meter.note_frame(Direction.RECEIVED, frame.type, len(data), now)
                self._handlers[frame.type](self, frame.payload, now)
        except RemoteProtocolError as exc:
            self.close(exc.code, exc.reason, now)

    def heard(self, now: float) -> None:
        """Take note that a part of a frame has arrived: the peer lives, however long the whole takes."""
        if self.state is State.OPEN:
            self._keepalive.heard_part(now)

    def data_to_send(self, now: float) -> list[bytes]:
        """Return the frames to write now, in order: about ``burst_bytes``. Call it until it returns none."""
        if self._pong and self.state is State.OPEN:
            self._emit(FrameType.PONG, payloads.encode_number(self._pong), now)
            self._pong = 0
        if self.state is State.OPEN:
            if self._generation != self.outbox.generation:
                self._supersede(now)
            else:
                self._fill(now)
        return self._frames.take()

    def next_event(self) -> Event | None:
        """Return the next event, or None."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` must be called; a time that has passed means at once. None: never."""
        if self.state is State.CLOSED:
            return None
        if self.state is not State.OPEN:
            return self._handshake_until
        alive = self._keepalive.next_timer()
        sending = self._sender.next_timer()
        return alive if sending is None or alive < sending else sending

    def handle_timer(self, now: float) -> None:
        """Do what is due by now; harmless when nothing is."""
        if self.state is State.CLOSED:
            return
        if self.state is not State.OPEN:
            if now >= self._handshake_until:
                self.close(CloseCode.HANDSHAKE_TIMEOUT, "the handshake took too long", now)
            return
        if self._generation != self.outbox.generation:
            self._supersede(now)
        elif self._keepalive.dead(now):
            self.close(CloseCode.DEAD_PEER, f"nothing heard for {self.settings.dead_s:g} s", now)
        else:
            try:
                self._sender.handle_timer(now)
            except RemoteProtocolError as exc:
                self.close(exc.code, exc.reason, now)
                return
            if self._keepalive.ping_due(now):
                self._emit(FrameType.PING, payloads.encode_number(self._keepalive.ping(now)), now)

    def check_invariants(self) -> None:
        """Assert what must always hold; called by tests."""
        self.outbox.check_invariants()
        if self.state is State.OPEN and self._generation == self.outbox.generation:
            self._sender.check_invariants()
        assert (self._closed is not None) == (self.state is State.CLOSED)

    # Inside.

    def _fill(self, now: float) -> None:
        if self._receiver.nack_due:
            self._receiver.nack_due = False
            self._emit(FrameType.NACK, payloads.encode_number(self._receiver.received), now)
        if self._receiver.ack_due:
            self._emit(FrameType.ACK, payloads.encode_ack(self._receiver.take_ack(now)), now)
        if not self._sender.idle:
            for kind, payload, flight in self._sender.payloads(now):
                size_bytes = self._frames.emit(kind, payload)
                self._sender.sized(flight, size_bytes, now)
                if flight.chunk is None:
                    lanes = [entry.sent_lane for entry in flight.entries]
                    self.meter.note_batch(Direction.SENT, flight.items, lanes, size_bytes, now)
                else:
                    self.meter.note_frame(Direction.SENT, kind, size_bytes, now)

    def _emit(self, kind: FrameType, payload: bytes, now: float) -> None:
        """Add a frame that carries no items."""
        self.meter.note_frame(Direction.SENT, kind, self._frames.emit(kind, payload), now)

    def _offer(self) -> Offer:
        return Offer(self._receiver.window, available(), KNOWN)

    def _require(self, side: Side, state: State) -> None:
        if self.side is not side or self.state is not state:
            raise LocalProtocolError(f"not possible on the {self.side.value} side in state {self.state.value}")

    def _check_generation(self) -> None:
        if self._generation != self.outbox.generation:
            raise RemoteProtocolError(CloseCode.SUPERSEDED, "a newer session has taken over")

    def _supersede(self, now: float) -> None:
        self.close(CloseCode.SUPERSEDED, "a newer session has taken over", now)

    def _check_epoch(self, kind: FrameType, epoch: int) -> None:
        if self.state is State.OPEN:
            if epoch != self._epoch & _EPOCH_BITS and not (kind is FrameType.ERROR and epoch == 0):
                raise RemoteProtocolError(
                    CloseCode.STALE_EPOCH, f"frame of epoch {epoch} in the session of epoch {self._epoch}"
                )

    def _open_session(self, welcome: Welcome, now: float) -> None:
        self._epoch = self._frames.epoch = welcome.epoch
        self._keepalive.interval_s = welcome.keepalive_s
        self._keepalive.heard(now)
        self._received_at_open = self.bytes_received
        self.state = State.OPEN

    def _accept_offer(self, offer: Offer) -> None:
        self._sender.window = offer.window
        self._frames.agree(offer.codecs, offer.dictionaries)

    def _finish(self, closed: Closed) -> None:
        self.state = State.CLOSED
        self._closed = closed
        self._events.append(closed)

    def _on_hello(self, payload: Buffer, now: float) -> None:
        self._hello, offer = payloads.decode_hello(payload)
        self._accept_offer(offer)
        self.state = State.GREETED
        self._events.append(HelloReceived(self._hello))

    def _on_welcome(self, payload: Buffer, now: float) -> None:
        welcome, offer = payloads.decode_welcome(payload)
        assert self._hello is not None
        if welcome.epoch <= self._hello.epoch:
            raise RemoteProtocolError(
                CloseCode.STALE_EPOCH, f"epoch {welcome.epoch} is not newer than {self._hello.epoch}"
            )
        self._accept_offer(offer)
        self._open_session(welcome, now)
        self._events.append(WelcomeReceived(welcome))

    def _on_error(self, payload: Buffer, now: float) -> None:
        fault = payloads.decode_fault(payload)
        self._finish(Closed(fault.code, fault.reason, fault.retry_after_s, remote=True))

    def _moves_nothing(self, what: FrameType, now: float) -> None:
        if not self._flood.spend(now):
            raise RemoteProtocolError(CloseCode.FLOOD, f"too many frames that move nothing, of {what.name} the last")

    def _on_goaway(self, payload: Buffer, now: float) -> None:
        self._moves_nothing(FrameType.GOAWAY, now)
        self._events.append(GoingAway(payloads.decode_number(payload)))

    def _on_ping(self, payload: Buffer, now: float) -> None:
        # Only the newest ping's answer counts, so one that cannot go out yet is replaced: a peer that pings and does
        # not read costs nothing.
        self._moves_nothing(FrameType.PING, now)
        self._pong = payloads.decode_id(payload)

    def _on_pong(self, payload: Buffer, now: float) -> None:
        self._moves_nothing(FrameType.PONG, now)
        if self._keepalive.pong(payloads.decode_id(payload), now):
            self.measures.round_trips.observe(self._keepalive.sample_s)

    def _on_volatile(self, payload: Buffer, now: float) -> None:
        self._moves_nothing(FrameType.VOLATILE, now)
        ping, body = payloads.decode_volatile(payload)
        if ping:
            self._pong = ping
        self._events.append(VolatileReceived(body))

    def _on_batch(self, payload: Buffer, size_bytes: int, now: float) -> None:
        sequence, confirmed, items, timed, body_bytes, alike = payloads.decode_batch(payload)
        self.meter.note_batch(Direction.RECEIVED, items, None, size_bytes, now, alike=alike)
        if self._receiver.accept(sequence, confirmed):
            self._receiver.begin(sequence, len(items), body_bytes + ITEM_OVERHEAD_BYTES * len(items))
            if timed:
                self._receiver.time(sequence, now)
            self._events.append(Received(sequence, self._epoch, items))
        else:
            self._moves_nothing(FrameType.BATCH, now)

    def _on_inventory(self, payload: Buffer, now: float) -> None:
        sequence, confirmed, last, entries = payloads.decode_inventory(payload)
        accepted = self._receiver.accept(sequence, confirmed)
        if not accepted or not (entries or last):
            self._moves_nothing(FrameType.INVENTORY, now)
        if not accepted:
            return
        self._receiver.begin(sequence, 0, 0)
        self._receiver.settle(sequence, None, now)
        gathered = self._inventory.add(entries, len(payload), last=last)
        if gathered is not None:
            self._events.append(InventoryReceived(gathered))

    def _on_ack(self, payload: Buffer, now: float) -> None:
        before = self._sender.progress
        settled = self._sender.acknowledge(payloads.decode_ack(payload), now)
        if settled is not None:
            self._events.append(settled)
        elif self._sender.progress == before:
            self._moves_nothing(FrameType.ACK, now)

    def _on_nack(self, payload: Buffer, now: float) -> None:
        self._moves_nothing(FrameType.NACK, now)
        self._sender.missing(payloads.decode_id(payload), now)

    _handlers: ClassVar[dict[FrameType, Callable[[Link, Buffer, float], None]]] = {
        FrameType.HELLO: _on_hello,
        FrameType.WELCOME: _on_welcome,
        FrameType.ERROR: _on_error,
        FrameType.GOAWAY: _on_goaway,
        FrameType.PING: _on_ping,
        FrameType.PONG: _on_pong,
        FrameType.VOLATILE: _on_volatile,
        FrameType.ACK: _on_ack,
        FrameType.NACK: _on_nack,
        FrameType.INVENTORY: _on_inventory,
    }
