"""The committed objects of one resource, and the recent changes that led to them. Performs no I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Protocol

from cloudcore.store.base import Change, ChangeType, Record
from protocol.objects.keys import ObjectKey, Revision

_revision_of = attrgetter("record.revision")


class Listener(Protocol):
    """Told that a resource changed; both calls return at once."""

    def wake(self) -> None:
        """Note that there is something new to read."""

    def close(self) -> None:
        """Note that nothing will ever follow."""


class Shelf:
    """Records and change ring of one resource.

    A change has a position: its place in the endless sequence of the resource's changes. Watchers hold positions,
    the ring keeps those from ``first`` on.

    Args:
        resource: The group-resource.
        floor: The revision up to which changes are unknown (compacted, or before the store was opened).
    """

    def __init__(self, resource: str, floor: Revision) -> None:
        self.resource = resource
        self.records: dict[ObjectKey, Record] = {}
        self.listeners: dict[Listener, None] = {}
        self.floor = floor
        self.first = 0
        self.size_bytes = 0
        self.changes: list[Change] = []
        self._stamps: deque[tuple[float, int]] = deque()
        self._keys: list[ObjectKey] = []
        self._added: list[ObjectKey] = []
        self._removed = False

    @property
    def end(self) -> int:
        """The position after the newest change."""
        return self.first + len(self.changes)

    def load(self, record: Record) -> None:
        """Put a record there that is no change: it was committed before this store was opened."""
        self.records[record.key] = record
        self._added.append(record.key)

    def restart(self, records: Iterable[Record], revision: Revision) -> None:
        """Begin anew with the records of a complete list; every position there was is compacted away."""
        self.records = {record.key: record for record in records}
        self._keys, self._added, self._removed = [], list(self.records), False
        self.first = self.end + 1
        self.floor = revision
        self.size_bytes = 0
        self.changes.clear()
        self._stamps.clear()

    def apply(self, change: Change) -> None:
        """Append ``change`` and make it the state."""
        record = change.record
        key = record.key
        if change.type is ChangeType.DELETED:
            del self.records[key]
            self._removed = True
        else:
            if change.previous is None:
                self._added.append(key)
            self.records[key] = record
        self.changes.append(change)
        self.size_bytes += len(record.tail)

    def stamp(self, now: float) -> None:
        """Note that everything up to here was published by ``now``."""
        self._stamps.append((now, self.end))

    def position_after(self, revision: Revision) -> int:
        """Return the position of the first change after ``revision``, which must not be below the floor."""
        return self.first + bisect_right(self.changes, revision, key=_revision_of)

    def since(self, position: int, limit: int) -> Sequence[Change]:
        """Return up to ``limit`` changes from ``position`` on, which must not be before ``first``."""
        start = position - self.first
        return self.changes[start : start + limit]

    def select(self, namespace: str | None) -> list[Record]:
        """Return the committed records, sorted by (namespace, name)."""
        keys = self._sorted_keys()
        if namespace is not None:
            start = bisect_left(keys, (self.resource, namespace, ""))
            keys = keys[start : bisect_left(keys, (self.resource, namespace + "\0", ""))]
        records = self.records
        return [records[key] for key in keys]

    def select_at(self, namespace: str | None, revision: Revision) -> list[Record]:
        """Return the records as they were at ``revision``, by undoing what came later."""
        newer = self.changes[self.position_after(revision) - self.first :]
        undone: dict[ObjectKey, Record | None] = {}
        for change in reversed(newer):
            if namespace is None or change.record.key.namespace == namespace:
                undone[change.record.key] = change.previous
        kept = [record for record in self.select(namespace) if record.key not in undone]
        kept.extend(record for record in undone.values() if record is not None)
        kept.sort(key=attrgetter("key"))
        return kept

    def drop_older(self, horizon: float) -> int:
        """Compact changes published before ``horizon``; return the bytes freed."""
        end = self.first
        while self._stamps and self._stamps[0][0] < horizon:
            end = self._stamps.popleft()[1]
        return self.drop(end - self.first)

    def drop(self, count: int) -> int:
        """Compact the oldest ``count`` changes; return the bytes freed."""
        if count <= 0:
            return 0
        dropped = self.changes[:count]
        del self.changes[:count]
        self.first += len(dropped)
        self.floor = dropped[-1].revision if dropped else self.floor
        while self._stamps and self._stamps[0][1] <= self.first:
            self._stamps.popleft()
        freed = sum(len(change.record.tail) for change in dropped)
        self.size_bytes -= freed
        return freed

    def _sorted_keys(self) -> list[ObjectKey]:
        # Sorting is put off until somebody lists: a sorted run with a short tail sorts in linear time.
        if self._removed or self._added:
            if self._removed:
                # A key may have been removed and added again, so take each one once.
                present = dict.fromkeys(key for key in (*self._keys, *self._added) if key in self.records)
                self._keys = list(present)
            else:
                self._keys.extend(self._added)
            self._keys.sort()
            self._added = []
            self._removed = False
        return self._keys
