"""What the meta store asks of a storage engine: load everything once, then commit groups of row changes.

The engine knows rows, not rules. A commit is atomic and on disk when its await returns; commits asked for while
one is under way form the next group, and if a group fails, every commit in it fails and nothing of it is stored.
``tests/contracts/metaengine.py`` holds every engine to this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from protocol.objects.keys import ObjectKey, Revision, Uid


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object of the slice.

    Attributes:
        key: Which object.
        uid: Its uid.
        version: The version of its projection.
        body: The msgpack of the projection, as it came down the link.
        line: Counts the store incarnations this node has been fed by; versions of different lines have no order.
    """

    key: ObjectKey
    uid: Uid
    version: Revision
    body: bytes
    line: int


@dataclass(frozen=True, slots=True)
class ReportRow:
    """The newest report about one object.

    Attributes:
        key: ``pods/status``, ``nodes/status`` (a put) or ``pods`` (a delete).
        uid: The uid of the object reported on; empty for the node.
        generation: Grows with every report of this database; an acknowledgement names the one it is for.
        body: The msgpack of the body; empty for a delete.
        owed: Whether the cloud has yet to acknowledge this generation.
    """

    key: ObjectKey
    uid: Uid
    generation: int
    body: bytes
    owed: bool


@dataclass(frozen=True, slots=True)
class EventRow:
    """A core/v1 Event waiting to go up; ``generation`` orders the queue."""

    key: ObjectKey
    generation: int
    body: bytes


@dataclass(frozen=True, slots=True)
class SettledRow:
    """The answer given to a command of the cloud: an empty ``code`` means it was applied."""

    id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class FactRow:
    """A single durable value, such as the epoch."""

    name: str
    value: str


Row = ObjectRow | ReportRow | EventRow | SettledRow | FactRow


@dataclass(frozen=True, slots=True)
class DropObject:
    """Remove an object's row."""

    key: ObjectKey


@dataclass(frozen=True, slots=True)
class DropReport:
    """Remove a report's row."""

    key: ObjectKey


@dataclass(frozen=True, slots=True)
class DropEvent:
    """Remove an event's row."""

    key: ObjectKey


@dataclass(frozen=True, slots=True)
class DropSettled:
    """Remove the record of an answered command."""

    id: str


Drop = DropObject | DropReport | DropEvent | DropSettled
Change = Row | Drop


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a database holds; ``events`` and ``settled`` oldest first.

    ``rebuilt`` says that the database was corrupt and that this is the empty one in its place.
    """

    objects: Sequence[ObjectRow] = ()
    reports: Sequence[ReportRow] = ()
    events: Sequence[EventRow] = ()
    settled: Sequence[SettledRow] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    rebuilt: bool = False


class Engine(Protocol):
    """Durable rows. Used from one event loop."""

    def load(self) -> Snapshot:
        """Return what is stored. Blocking; called before the first commit and after an uncertain failure."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Store ``changes``, in order, as one atomic step; returns when they are on disk.

        Raises:
            StorageUnavailable: Nothing of it is stored (or, if ``uncertain``, it is not known: ``load`` again).
        """

    async def close(self) -> None:
        """Commit what is queued and release the files. Idempotent."""
