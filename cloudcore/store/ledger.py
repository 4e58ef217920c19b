"""Group commit: queued writes, their judgement, the issue of revisions. Performs no I/O and reads no clock.

Contract. At most one group is open at a time: an engine takes it with ``next_group``, puts it on disk, and ends it
with ``commit`` or ``fail``. Writes are judged when their group is formed, against committed state plus the earlier
writes of that group, so a failed group never drags later ones along: those are still unjudged in the queue. Every
verdict, a refusal too, is told when the group ends, because a refusal may rest on a write that then fails.

A volatile write rides in the group of its time, so that revisions are published in order, but is not put on disk.
If the group fails, it is judged again in a group of volatile writes alone, which needs no disk.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from cloudcore.errors import ApiError, StorageUnavailable, TooManyRequests
from cloudcore.store.base import Change, ChangeType, Record
from cloudcore.store.history import History
from cloudcore.store.writes import Waiter, Write
from protocol.objects.keys import ObjectKey, Revision, Uid


@dataclass(slots=True)
class Group:
    """Writes that become visible together or not at all.

    Attributes:
        revision: The newest revision issued by the end of this group.
        changes: The changes, in revision order.
        puts: What to put on disk: the final state of each object written durably.
        deletes: What to remove from disk.
        reserve_to: The high-water mark of revisions to put on disk with the group; None leaves it.
        writes: The accepted writes.
        verdicts: Who is to be told what when the group is committed.
    """

    revision: Revision
    changes: list[Change] = field(default_factory=list)
    puts: dict[ObjectKey, Record] = field(default_factory=dict)
    deletes: dict[ObjectKey, None] = field(default_factory=dict)
    reserve_to: Revision | None = None
    writes: list[Write] = field(default_factory=list)
    verdicts: list[tuple[Waiter, Record | ApiError]] = field(default_factory=list)

    @property
    def touches_disk(self) -> bool:
        """Whether the group needs a commit on disk."""
        return bool(self.puts or self.deletes or self.reserve_to is not None)


class Ledger:
    """Judges writes and issues revisions.

    Args:
        history: The committed state; this ledger is its only writer.
        reserved: The high-water mark of revisions that is on disk.
    """

    def __init__(self, history: History, reserved: Revision) -> None:
        self._history = history
        self._settings = history.settings
        self._issued: int = history.revision
        self._reserved: int = reserved
        self._queue: deque[Write] = deque()
        self._again: deque[Write] = deque()
        self._open: Group | None = None
        # Objects whose committed state is newer than the one on disk. A reserved revision's empty key passes
        # through too; it names no object.
        self._dirty: dict[ObjectKey, None] = {}

    @property
    def pending(self) -> int:
        """How many writes wait for a group."""
        return len(self._queue) + len(self._again)

    def submit(self, write: Write) -> None:
        """Queue ``write``; its waiter is told the outcome.

        Raises:
            TooManyRequests: The queue is full; nothing was queued.
        """
        if len(self._queue) >= self._settings.max_pending:
            raise TooManyRequests("too many writes are waiting for the disk", retry_after_s=1)
        self._queue.append(write)

    def next_group(self) -> Group | None:
        """Form and open the next group, or return None where nothing waits."""
        source = self._again or self._queue
        if not source:
            return None
        group = Group(Revision(self._issued))
        overlay: dict[ObjectKey, Record | None] = {}
        size = 0
        while source and len(group.verdicts) < self._settings.max_group and size < self._settings.max_group_bytes:
            write = source.popleft()
            if not write.waiter.done():
                size += write.size_bytes
                self._judge(write, group, overlay)
        group.revision = Revision(self._issued)
        self._reserve(group)
        self._open = group
        return group

    def commit(self, group: Group, now: float) -> None:
        """End ``group``: it is on disk. Publishes it, then tells the writers."""
        self._open = None
        self._note_dirty(group)
        if group.reserve_to is not None:
            self._reserved = group.reserve_to
        self._history.publish(group.changes, group.revision, now)
        for waiter, outcome in group.verdicts:
            if not waiter.done():
                if isinstance(outcome, ApiError):
                    waiter.set_exception(outcome)
                else:
                    waiter.set_result(outcome)

    def fail(self, group: Group, message: str) -> None:
        """End ``group``: it is not on disk, and nothing of it was visible. Its revisions are never used again."""
        self._open = None
        again = [write for write in group.writes if write.volatile] if group.puts or group.deletes else []
        self._again.extend(again)
        spared = {id(write.waiter) for write in again}
        for waiter, _ in group.verdicts:
            if not waiter.done() and id(waiter) not in spared:
                waiter.set_exception(StorageUnavailable(message, retry_after_s=1))

    def abandon(self, message: str) -> None:
        """Refuse everything that is queued or open: the store goes away without another commit."""
        if self._open is not None:
            self.fail(self._open, message)
        for write in (*self._again, *self._queue):
            if not write.waiter.done():
                write.waiter.set_exception(StorageUnavailable(message))
        self._again.clear()
        self._queue.clear()

    def closing_group(self) -> Group:
        """Return a last group that puts volatile state on disk and gives back the unused revisions."""
        records = ((key, self._history.get(key)) for key in self._dirty)
        puts = {key: record for key, record in records if record is not None}
        return Group(Revision(self._issued), puts=puts, reserve_to=Revision(self._issued))

    def _judge(self, write: Write, group: Group, overlay: dict[ObjectKey, Record | None]) -> None:
        revision = Revision(self._issued + 1)
        key = write.key
        try:
            change = write.judge(overlay[key] if key in overlay else self._history.get(key), revision)
        except ApiError as refusal:
            group.verdicts.append((write.waiter, refusal))
            return
        self._issued = revision
        group.writes.append(write)
        if change is None:
            group.verdicts.append((write.waiter, Record(key, Uid(""), revision, revision, b"")))
            return
        group.changes.append(change)
        group.verdicts.append((write.waiter, change.record))
        if change.type is ChangeType.DELETED:
            overlay[key] = None
            group.puts.pop(key, None)
            group.deletes[key] = None
        else:
            overlay[key] = change.record
            if not write.volatile or key in group.puts:
                group.puts[key] = change.record
                group.deletes.pop(key, None)

    def _note_dirty(self, group: Group) -> None:
        dirty = self._dirty
        if dirty:
            for key in (*group.puts, *group.deletes):
                dirty.pop(key, None)
        for write in group.writes:
            if write.volatile and write.key not in group.puts and write.key not in group.deletes:
                dirty[write.key] = None

    def _reserve(self, group: Group) -> None:
        # Groups that go to disk anyway extend the block early, so that volatile ones seldom have to.
        low = self._reserved - self._settings.revision_block // 2
        if self._issued > self._reserved or (group.touches_disk and self._issued > low):
            group.reserve_to = Revision(self._issued + self._settings.revision_block)
