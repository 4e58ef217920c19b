"""What a link tells its owner. Events come in the order in which things happened on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.messages import Hello, InventoryEntry, Item, Verdict, Welcome


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """Cloud: an edge introduced itself. The owner checks it and calls ``welcome`` or ``refuse``."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class WelcomeReceived:
    """Edge: the session is open. The owner stores the epoch before it applies anything."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class Received:
    """A batch arrived. The owner commits its items in order, then calls ``settle`` with ``batch``.

    Attributes:
        batch: The batch's number in this session.
        epoch: The session's epoch, to be checked by whoever applies.
        items: The items, in order.
    """

    batch: int
    epoch: int
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Settled:
    """The peer settled items for good: applied or rejected. An item superseded before it was sent has no event.

    Attributes:
        items: The items, in the order they were sent.
        verdicts: One verdict per item, in the same order.
    """

    items: Sequence[Item]
    verdicts: Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class InventoryReceived:
    """Cloud: the edge's whole inventory has arrived."""

    entries: Sequence[InventoryEntry]


@dataclass(frozen=True, slots=True)
class VolatileReceived:
    """A volatile frame (heartbeat, samples) arrived."""

    body: bytes


@dataclass(frozen=True, slots=True)
class GoingAway:
    """The peer drains: it sends no more; reconnect after ``retry_after_s`` seconds."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over. The last event of a link.

    Attributes:
        code: Why (:class:`protocol.frames.CloseCode`).
        reason: One line for a person.
        retry_after_s: Come back no sooner than after so many seconds.
        remote: Whether the peer ended it.
    """

    code: int
    reason: str
    retry_after_s: float = 0.0
    remote: bool = False


Event = HelloReceived | WelcomeReceived | Received | Settled | InventoryReceived | VolatileReceived | GoingAway | Closed
