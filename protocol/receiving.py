"""The receiving half of a session: order, duplicates, the window it grants, acks. Used by :mod:`protocol.link`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.frames import CloseCode
from protocol.messages import Outcome, Verdict
from protocol.payloads import Ack, Grant


class Receiver:
    """The receiving half of one session.

    Frames are delivered in sequence order, each once. What the owner settled is acknowledged cumulatively; verdicts
    other than applied are repeated in each ack until the peer confirms that it has processed them, because an ack
    may be lost.

    Args:
        window: What the peer may have unsettled.
    """

    __slots__ = (
        "_confirmed",
        "_exceptions",
        "_granted",
        "_open",
        "_reported_gap",
        "_settled",
        "_timed",
        "_window_changed",
        "ack_due",
        "nack_due",
        "received",
        "unsettled_items",
        "unsettled_weight",
        "window",
    )

    def __init__(self, window: Grant) -> None:
        self.window = window
        self.received = 0
        self.unsettled_items = 0
        self.unsettled_weight = 0
        self.ack_due = False
        self.nack_due = False
        self._granted = window
        self._window_changed = False
        self._reported_gap = False
        self._settled = 0
        self._confirmed = 0
        self._open: dict[int, tuple[int, int]] = {}
        self._exceptions: dict[int, list[tuple[int, Verdict]]] = {}
        self._timed: dict[int, list[float]] | None = None

    def accept(self, sequence: int, confirmed: int) -> bool:
        """Judge the number of an arriving frame: true if it is the next one.

        A repeat is answered with an ack, the first frame after a gap with a request to go back.

        Raises:
            RemoteProtocolError: It confirms an ack that was never sent.
        """
        if confirmed > self._settled:
            raise RemoteProtocolError(CloseCode.BAD_ACK, f"frame {confirmed} confirmed, {self._settled} settled")
        if confirmed > self._confirmed:
            self._confirmed = confirmed
            for settled in [number for number in self._exceptions if number <= confirmed]:
                del self._exceptions[settled]
        if sequence == self.received + 1:
            self.received = sequence
            self._reported_gap = False
            return True
        if sequence <= self.received:
            self.ack_due = True
        elif not self._reported_gap:
            self.nack_due = self._reported_gap = True
        return False

    def begin(self, sequence: int, items: int, weight: int) -> None:
        """Count an accepted frame against the window.

        Raises:
            RemoteProtocolError: The peer was never granted that much.
        """
        self._open[sequence] = (items, weight)
        self.unsettled_items += items
        self.unsettled_weight += weight
        self._check_unconfirmed(items)
        # Bytes may be overdrawn by the one frame that was sent while some were left.
        before = self.unsettled_weight - weight
        if self.unsettled_items > self._granted.items or before > self._granted.weight:
            raise RemoteProtocolError(CloseCode.WINDOW_EXCEEDED, "more was sent than the window allows")

    def _check_unconfirmed(self, items: int) -> None:
        """Hold a peer to the window also by what it has not confirmed.

        A sender counts as settled what it has processed the ack of, and then confirms it; so what it has not confirmed
        is within the window too. One that confirms nothing would have every exception repeated to it in every ack.
        """
        unconfirmed = items + sum(map(len, self._exceptions.values())) if self._exceptions else items
        if unconfirmed > self._granted.items:
            raise RemoteProtocolError(CloseCode.WINDOW_EXCEEDED, "more is unconfirmed than the window allows")

    def time(self, sequence: int, now: float) -> None:
        """Remember when a frame arrived, to tell its sender with the ack."""
        self._timed = self._timed or {}
        self._timed[sequence] = [now]

    def settle(self, sequence: int, verdicts: Sequence[Verdict] | None, now: float) -> None:
        """Settle a frame; ``verdicts`` of None means that all items were applied.

        Raises:
            LocalProtocolError: The frame is not open, or the number of verdicts is not that of its items.
        """
        opened = self._open.get(sequence)
        if opened is None:
            raise LocalProtocolError(f"batch {sequence} is not waiting for verdicts")
        items, weight = opened
        if verdicts is not None:
            if len(verdicts) != items:
                raise LocalProtocolError(f"batch {sequence} has {items} items, not {len(verdicts)}")
            unusual = [pair for pair in enumerate(verdicts) if pair[1].outcome is not Outcome.APPLIED]
            if unusual:
                self._exceptions[sequence] = unusual
        if self._timed is not None and sequence in self._timed:
            self._timed[sequence].append(now)
        del self._open[sequence]
        self.unsettled_items -= items
        self.unsettled_weight -= weight
        settled = next(iter(self._open)) - 1 if self._open else self.received  # insertion order is number order
        if settled > self._settled:
            self._settled = settled
            self.ack_due = True

    def grant(self, window: Grant) -> None:
        """Change the window from now on; what was granted before may still arrive."""
        if window != self.window:
            self.window = window
            self._granted = Grant(max(window.items, self._granted.items), max(window.weight, self._granted.weight))
            self._window_changed = self.ack_due = True

    def take_ack(self, now: float) -> Ack:
        """Return the ack to send now."""
        self.ack_due = False
        times = self._take_times(now) if self._timed is not None else ()
        exceptions = tuple(
            (sequence, index, verdict)
            for sequence, pairs in self._exceptions.items()
            if sequence <= self._settled
            for index, verdict in pairs
        )
        # Once changed, the window stands in every ack: any of them may be lost. It also leads up to the times.
        window = self.window if self._window_changed or times else None
        return Ack(self._settled, self.received, exceptions, window, times)

    def _take_times(self, now: float) -> tuple[tuple[int, int, int], ...]:
        """Return the times of the frames that are settled, once: a lost ack leaves them unknown."""
        timed = self._timed or {}
        told = [sequence for sequence, at in timed.items() if sequence <= self._settled and len(at) == 2]
        times = tuple((sequence, *(round((now - at) * 1e6) for at in timed.pop(sequence))) for sequence in told)
        self._timed = timed or None
        return cast("tuple[tuple[int, int, int], ...]", times)
