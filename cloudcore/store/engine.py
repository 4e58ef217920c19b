"""What all engines share: the store interface over a ledger and its history, on asyncio.

Contract. Everything here runs on one event loop. Writes that arrive while a group is being committed form the next
one; the first write after a pause waits for the end of the loop's current step, so that writers woken together
share a group. An engine implements ``_flush`` and calls ``_flushed`` exactly once for each group, on the loop.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection

from cloudcore.errors import NotFound, StorageUnavailable
from cloudcore.store.base import Listing, Record, Since
from cloudcore.store.history import History
from cloudcore.store.ledger import Group, Ledger
from cloudcore.store.watch import HistoryWatch
from cloudcore.store.writes import Create, Delete, Precondition, Reserve, Update, Write
from protocol.objects.keys import ObjectKey, Revision, Uid

_ANY = Precondition()


class GroupCommitStore(ABC):
    """A :class:`cloudcore.store.base.Store` that commits in groups.

    Args:
        history: The committed state.
        reserved: The high-water mark of revisions on disk.
        incarnation: The database's id.
    """

    def __init__(self, history: History, reserved: Revision, incarnation: str) -> None:
        self._history = history
        self._ledger = Ledger(history, reserved)
        self._incarnation = incarnation
        self._committing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._trouble = ""

    @property
    def incarnation(self) -> str:
        """Identifies this database's line of revisions."""
        return self._incarnation

    @property
    def revision(self) -> Revision:
        """The newest committed revision."""
        return self._history.revision

    @property
    def trouble(self) -> str:
        """Why the last commit failed, in one line; empty while the store takes writes."""
        return self._trouble

    @property
    def pending(self) -> int:
        """Writes that wait for a commit group (a gauge for metrics)."""
        return self._ledger.pending

    async def get(self, key: ObjectKey) -> Record:
        """Return the committed record.

        Raises:
            NotFound: There is none.
        """
        record = self._history.get(key)
        if record is None:
            raise NotFound(f'{key.resource} "{key.name}" not found')
        return record

    async def list(self, resource: str, *, namespace: str | None = None, at: Revision | None = None) -> Listing:
        """Return all records of ``resource`` now, or as they were at ``at``.

        Raises:
            Gone: ``at`` has been compacted away.
        """
        return self._history.list(resource, namespace, at)

    async def create(self, key: ObjectKey, tail: bytes, *, uid: Uid, volatile: bool = False) -> Record:
        """Store a new object. It is durable whatever ``volatile`` says: only updates can be volatile.

        Raises:
            AlreadyExists: The key is taken.
            TooManyRequests: Too many writes are waiting.
            StorageUnavailable: Nothing was stored.
        """
        waiter = self._waiter()
        return await self._submit(Create(key, waiter, tail, uid), waiter)

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

        Raises:
            NotFound: There is no such object.
            Conflict: A precondition does not hold.
            TooManyRequests: Too many writes are waiting.
            StorageUnavailable: Nothing was stored.
        """
        waiter = self._waiter()
        precondition = _precondition(expected, expected_uid)
        write = Update(key, waiter, precondition, tail, status_only=status_only, volatile=volatile)
        return await self._submit(write, waiter)

    async def delete(
        self, key: ObjectKey, *, expected: Revision | None = None, expected_uid: Uid | None = None
    ) -> Record:
        """Remove an object and return its last state with the deletion's revision.

        Raises:
            NotFound: There is no such object.
            Conflict: A precondition does not hold.
            TooManyRequests: Too many writes are waiting.
            StorageUnavailable: Nothing was stored.
        """
        waiter = self._waiter()
        return await self._submit(Delete(key, waiter, _precondition(expected, expected_uid)), waiter)

    def watch(
        self, resources: Collection[str], *, since: Since, namespace: str | None = None, bookmark_s: float = 60.0
    ) -> HistoryWatch:
        """Watch ``resources`` for changes after revision ``since``; the caller closes the watch."""
        watch = HistoryWatch(self._history, resources, since=since, namespace=namespace, bookmark_s=bookmark_s)
        if self._closing:
            watch.close()
        return watch

    async def reserve(self) -> Revision:
        """Issue a revision that belongs to no object; never issued again.

        Raises:
            StorageUnavailable: The disk does not take a new block of revisions.
        """
        waiter = self._waiter()
        receipt = await self._submit(Reserve(waiter), waiter)
        return receipt.revision

    async def close(self) -> None:
        """Commit what is queued, end every watch, release the files. Idempotent."""
        if self._closing:
            return
        self._closing = True
        await self._idle.wait()
        self._end_watches()
        await self._shut(self._ledger.closing_group())

    @abstractmethod
    def _flush(self, group: Group) -> None:
        """Begin to put ``group`` on disk; ``_flushed`` is called on the loop when that has ended."""

    @abstractmethod
    async def _shut(self, last: Group) -> None:
        """Put the ``last`` group on disk and release everything."""

    def _flushed(self, group: Group, failure: str | None) -> None:
        """Take note that ``group`` is on disk, or of why it is not."""
        self._trouble = failure or ""
        if failure is None:
            self._ledger.commit(group, asyncio.get_running_loop().time())
        else:
            self._ledger.fail(group, failure)
        self._commit_next()

    def _end_watches(self) -> None:
        for shelf in self._history.shelves():
            for listener in list(shelf.listeners):
                listener.close()

    @staticmethod
    def _waiter() -> asyncio.Future[Record]:
        return asyncio.get_running_loop().create_future()

    def _submit(self, write: Write, waiter: asyncio.Future[Record]) -> asyncio.Future[Record]:
        if self._closing:
            raise StorageUnavailable("the store is closed")
        self._ledger.submit(write)
        if not self._committing:
            self._committing = True
            self._idle.clear()
            waiter.get_loop().call_soon(self._commit_next)
        return waiter

    def _commit_next(self) -> None:
        group = self._ledger.next_group()
        if group is None:
            self._committing = False
            self._idle.set()
        elif group.touches_disk:
            self._flush(group)
        else:
            # Nothing for the disk. Let the loop breathe between such groups.
            loop = asyncio.get_running_loop()
            self._ledger.commit(group, loop.time())
            loop.call_soon(self._commit_next)


def _precondition(revision: Revision | None, uid: Uid | None) -> Precondition:
    return _ANY if revision is None and uid is None else Precondition(revision, uid)
