"""What travels on the link: items, verdicts, inventory entries, and the two halves of the handshake.

Items are tuples because the link handles hundreds of thousands a second: they are zipped into columns, packed and
rebuilt without a Python-level step per field. A body is msgpack that its owner encoded once; the link never looks
inside it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid

PROTOCOL_VERSION = 1
"""The version this code speaks. It is the first value of the first frame."""

NO_DIGEST = bytes(16)
"""The digest of an empty holding."""


class Op(enum.IntEnum):
    """What an item asks of the receiver."""

    PUT = 0
    """Hold this version of this object; a held object of another uid under the same key is replaced."""
    DELETE = 1
    """Hold the object with this uid no longer; an object of another uid is not touched."""
    COMMAND = 2
    """Do this once; ``Item.id`` tells a repeat from a second command."""


class Lane(enum.IntEnum):
    """Priority of an item; the lower number goes first. Lanes never reorder items of one key."""

    LEASE = 0
    DELETE = 1
    SPEC = 2
    TWIN = 3
    BULK = 4


class Item(NamedTuple):
    """One change or command.

    Attributes:
        op: What to do.
        key: The object (or, for a command, what it is about).
        uid: ``metadata.uid``; a delete names it and touches no other.
        version: The projection's version; compared for equality only.
        body: The object as msgpack, opaque to the link; empty for a delete.
        id: A command's identity, minted by the sender, unique for ever; empty otherwise.
    """

    op: Op
    key: ObjectKey
    uid: Uid
    version: Revision
    body: bytes = b""
    id: str = ""


class Outcome(enum.IntEnum):
    """How the receiver settled one item."""

    APPLIED = 0
    """It is on the receiver's disk."""
    REJECTED = 1
    """It never will be; it is not sent again."""
    LATER = 2
    """Not now: send it again after a while. It holds up no other item."""


class Verdict(NamedTuple):
    """The receiver's answer to one item.

    Attributes:
        outcome: How it was settled.
        code: For a rejection, a CamelCase word for programs (``Invalid``, ``Forbidden``).
        reason: For a rejection, one sentence for a person.
    """

    outcome: Outcome
    code: str = ""
    reason: str = ""

    @staticmethod
    def rejected(code: str, reason: str) -> Verdict:
        """Return a rejection; ``reason`` is cut at 256 characters so that an ack stays within its frame."""
        return Verdict(Outcome.REJECTED, code[:64], reason[:256])


APPLIED = Verdict(Outcome.APPLIED)
LATER = Verdict(Outcome.LATER)


class InventoryEntry(NamedTuple):
    """One object that an edge holds."""

    key: ObjectKey
    uid: Uid
    version: Revision


class Resume(enum.IntEnum):
    """What the cloud asks of an edge whose digest it has compared."""

    EQUAL = 0
    """Both hold the same; changes follow."""
    INVENTORY = 1
    """Send the inventory; the difference follows."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The edge's first frame.

    Attributes:
        node: The node's name; the cloud checks it against the certificate.
        instance: The instance id pinned when the node joined; tells a clone from the original.
        incarnation: The cloud store's incarnation that the held versions belong to; empty before the first session.
        epoch: The newest session epoch this edge has seen; 0 before the first session.
        digest: Digest of what the edge holds (:mod:`protocol.digest`), 16 bytes.
        count: How many objects the edge holds.
        agent_version: The agent's version, for people.
        protocol_version: The link protocol's version.
    """

    node: NodeName
    instance: str
    incarnation: str = ""
    epoch: int = 0
    digest: bytes = NO_DIGEST
    count: int = 0
    agent_version: str = ""
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class Welcome:
    """The cloud's answer to a hello it accepts.

    Attributes:
        epoch: This session's epoch, greater than any this node has had; the edge stores it before it applies.
        incarnation: The incarnation of the cloud's store.
        resume: Whether the edge must send its inventory.
        heartbeat_s: How often the edge sends its heartbeat, seconds.
        keepalive_s: Silence after which either side pings, seconds.
    """

    epoch: int
    incarnation: str
    resume: Resume = Resume.EQUAL
    heartbeat_s: float = 10.0
    keepalive_s: float = 12.0
