"""The store interface: Kubernetes' storage semantics, whatever the engine.

Contract (``tests/contracts/store.py`` holds every engine to it; the rules are in ``docs/semantics.md``):

- One global, ever-growing revision. A revision is never issued twice, also not after a crash.
- Compare-and-swap is judged against committed state plus earlier writes of the same commit group. If a group
  fails, every writer in it fails and nothing of it is ever visible.
- Readers and watchers see committed state only; they have a write before its author's await returns.
- Watch events come in revision order, without gaps, or the watch ends with ``Gone``.
- Volatile writes (``volatile=True``) are not flushed one by one: they may be lost in a crash, their revisions are
  not.

An engine that stands on somebody else's API server cannot give all of this; what it gives instead is said in
``cloudcore/store/kubernetes/store.py``, and in the contract by a flag for each promise it does not make.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from cloudcore.errors import RequestEntityTooLarge
from protocol.objects.keys import Body, ObjectKey, Revision, Uid

MAX_OBJECT_BYTES: Final = 1536 * 1024
"""An object encoded is no larger, as in Kubernetes; twice as much must fit a frame to an edge."""


@dataclass(frozen=True, slots=True)
class Record:
    """One object at one revision, held encoded.

    Attributes:
        key: Where it is stored.
        uid: ``metadata.uid``.
        revision: ``metadata.resourceVersion`` as a number.
        content_revision: The revision at which anything but the status last changed; the version of the
            projection that edges hold.
        tail: JSON of the object after ``{"metadata":{"resourceVersion":"N",`` (see :func:`encode`).
    """

    key: ObjectKey
    uid: Uid
    revision: Revision
    content_revision: Revision
    tail: bytes

    @property
    def json(self) -> bytes:
        """The object as JSON with its ``resourceVersion``, made by concatenation; one never stored has none."""
        if not self.revision:
            return b'{"metadata":{%b' % self.tail
        return b'{"metadata":{"resourceVersion":"%d",%b' % (self.revision, self.tail)

    def decode(self) -> Body:
        """Return a fresh dict of the object; the caller may change it."""
        body: Body = orjson.loads(self.json)
        return body


def encode(body: Body) -> bytes:
    """Encode ``body`` as a record's tail: metadata first, without its ``resourceVersion``.

    ``body["metadata"]`` must hold at least a name.

    Raises:
        RequestEntityTooLarge: It is over :data:`MAX_OBJECT_BYTES`.
    """
    metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
    ordered = {"metadata": metadata, **{key: value for key, value in body.items() if key != "metadata"}}
    tail = orjson.dumps(ordered)[len(b'{"metadata":{') :]
    if len(tail) > MAX_OBJECT_BYTES:
        raise RequestEntityTooLarge(f"the object would have {len(tail)} bytes, limit {MAX_OBJECT_BYTES}")
    return tail


class ChangeType(enum.StrEnum):
    """Watch event types, spelled as the Kubernetes API spells them."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write.

    Attributes:
        type: What happened.
        record: The new state; for a deletion the last state, its ``revision`` being that of the deletion.
        previous: The state before; None when added.
    """

    type: ChangeType
    record: Record
    previous: Record | None = None

    @property
    def revision(self) -> Revision:
        """The revision of the write."""
        return self.record.revision


@dataclass(frozen=True, slots=True)
class Listing:
    """The records of one resource at one revision, sorted by (namespace, name)."""

    records: Sequence[Record]
    revision: Revision


@dataclass(frozen=True, slots=True)
class Progress:
    """What a watch yields: changes in revision order, complete up to ``revision``.

    ``changes`` may be empty: then it is a bookmark.
    """

    changes: Sequence[Change]
    revision: Revision


Since = Revision | Mapping[str, Revision]
"""Where a watch begins: behind one revision, or behind one for each resource. An engine whose resources have no order
among each other (a Kubernetes API server promises none) is followed from what each one's list said."""


class Watch(Protocol):
    """An open watch. It holds a position in the store's history, not a queue of its own.

    Iterating waits for changes; it ends when the watch or the store is closed, and raises ``Gone`` once the
    position has been compacted away.
    """

    def __aiter__(self) -> AsyncIterator[Progress]:
        """Return the iterator over progress."""

    def close(self) -> None:
        """End the watch; a waiting iteration stops."""


class Store(Protocol):
    """A versioned map from :class:`ObjectKey` to encoded objects."""

    @property
    def incarnation(self) -> str:
        """Identifies this database's line of revisions; new when it is created or restored from a backup."""

    @property
    def revision(self) -> Revision:
        """The newest committed revision."""

    @property
    def trouble(self) -> str:
        """Why the last commit failed, in one line; empty while the store takes writes."""

    async def get(self, key: ObjectKey) -> Record:
        """Return the committed record.

        Raises:
            NotFound: There is none.
        """

    async def list(self, resource: str, *, namespace: str | None = None, at: Revision | None = None) -> Listing:
        """Return all records of ``resource`` (in ``namespace``, if given) now, or as they were at ``at``.

        Raises:
            Gone: ``at`` has been compacted away.
        """

    async def create(self, key: ObjectKey, tail: bytes, *, uid: Uid, volatile: bool = False) -> Record:
        """Store a new object.

        Raises:
            AlreadyExists: The key is taken.
            StorageUnavailable: Nothing was stored.
        """

    async def update(
        self,
        key: ObjectKey,
        tail: bytes,
        *,
        expected: Revision | None = None,
        expected_uid: Uid | None = None,
        status_only: bool = False,
        volatile: bool = False,
    ) -> Record:
        """Replace an object.

        Args:
            key: The object.
            tail: The new state, encoded; it keeps the stored uid.
            expected: The revision the object must have; None for any.
            expected_uid: The uid the object must have; None for any.
            status_only: True keeps ``content_revision``: only the status changed.
            volatile: True allows the write to be lost in a crash.

        Raises:
            NotFound: There is no such object.
            Conflict: A precondition does not hold.
            StorageUnavailable: Nothing was stored.
        """

    async def delete(
        self, key: ObjectKey, *, expected: Revision | None = None, expected_uid: Uid | None = None
    ) -> Record:
        """Remove an object and return its last state with the deletion's revision.

        Raises:
            NotFound: There is no such object.
            Conflict: A precondition does not hold.
            StorageUnavailable: Nothing was stored.
        """

    def watch(
        self, resources: Collection[str], *, since: Since, namespace: str | None = None, bookmark_s: float = 60.0
    ) -> Watch:
        """Watch ``resources`` for changes after revision ``since``; a bookmark at least every ``bookmark_s``."""

    async def reserve(self) -> Revision:
        """Issue a revision that belongs to no object (session epochs use it); never issued again."""

    async def close(self) -> None:
        """Commit what is queued, end every watch, release the files. Idempotent."""
