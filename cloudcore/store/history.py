"""Committed state over all resources: reads, publication in revision order, compaction. Performs no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from cloudcore.errors import Gone
from cloudcore.store.base import Change, Listing, Record
from cloudcore.store.settings import StoreSettings
from cloudcore.store.shelf import Shelf
from protocol.objects.keys import ObjectKey, Revision

FIRST_REVISION = Revision(1)
"""The revision of an empty, new database. Not 0, which Kubernetes' API gives a meaning of its own ("any")."""


class History:
    """What readers and watchers see: everything that is committed, and nothing else.

    Args:
        revision: The newest revision that may have been issued before; changes up to it are unknown.
        settings: The bounds.
        records: The objects that exist at ``revision``.
    """

    def __init__(self, revision: Revision, settings: StoreSettings, records: Iterable[Record] = ()) -> None:
        self.revision = revision
        self.settings = settings
        self.size_bytes = 0
        self._opened_at = revision
        self._shelves: dict[str, Shelf] = {}
        self._next_aging = 0.0
        for record in records:
            self.shelf(record.key.resource).load(record)

    def shelf(self, resource: str) -> Shelf:
        """Return the shelf of ``resource``, made on first use."""
        shelf = self._shelves.get(resource)
        if shelf is None:
            shelf = self._shelves[resource] = Shelf(resource, self._opened_at)
        return shelf

    def shelves(self) -> Iterable[Shelf]:
        """Return every shelf there is."""
        return self._shelves.values()

    def get(self, key: ObjectKey) -> Record | None:
        """Return the committed record, or None."""
        shelf = self._shelves.get(key.resource)
        return None if shelf is None else shelf.records.get(key)

    def records(self) -> list[Record]:
        """Return all committed records. Safe to call from another thread while no group is being published."""
        return [record for shelf in list(self._shelves.values()) for record in list(shelf.records.values())]

    def list(self, resource: str, namespace: str | None, at: Revision | None) -> Listing:
        """Return the records of ``resource`` now or at revision ``at``.

        Raises:
            Gone: ``at`` is compacted, or was never issued here (as after a restore).
        """
        shelf = self._shelves.get(resource)
        if at is None or at == self.revision:
            return Listing([] if shelf is None else shelf.select(namespace), self.revision)
        self.check_known(resource, at)
        return Listing([] if shelf is None else shelf.select_at(namespace, at), at)

    def reached(self, resources: Collection[str]) -> Revision:
        """Return the revision up to which every change of ``resources`` is here."""
        return self.revision

    def check_known(self, resource: str, revision: Revision) -> None:
        """Check that all changes of ``resource`` after ``revision`` are here.

        Raises:
            Gone: They are not.
        """
        shelf = self._shelves.get(resource)
        floor = self._opened_at if shelf is None else shelf.floor
        if revision < floor:
            raise Gone(f"too old resource version: {revision} ({floor})")
        if revision > self.revision:
            raise Gone(f"unknown resource version: {revision}, current: {self.revision}")

    def publish(self, changes: Sequence[Change], revision: Revision, now: float) -> None:
        """Make ``changes`` visible and wake the watchers of their resources, once each.

        Args:
            changes: Committed changes in revision order.
            revision: The newest revision that is committed with them.
            now: Seconds on any steady clock.
        """
        touched: dict[Shelf, None] = {}
        before = 0
        for change in changes:
            shelf = self.shelf(change.record.key.resource)
            if shelf not in touched:
                touched[shelf] = None
                before += shelf.size_bytes
            shelf.apply(change)
        self.revision = revision
        for shelf in touched:
            self.size_bytes += shelf.size_bytes
            shelf.stamp(now)
        self.size_bytes -= before
        self._compact(touched, now)
        for shelf in touched:
            for listener in shelf.listeners:
                listener.wake()

    def _compact(self, touched: Iterable[Shelf], now: float) -> None:
        settings = self.settings
        for shelf in touched:
            if len(shelf.changes) > settings.history_changes:
                # An eighth at a time, so that cutting the list's front stays cheap per change.
                keep = settings.history_changes - settings.history_changes // 8
                self.size_bytes -= shelf.drop(len(shelf.changes) - keep)
        while self.size_bytes > settings.history_bytes:
            largest = max(self._shelves.values(), key=lambda shelf: shelf.size_bytes)
            self.size_bytes -= largest.drop(1 + len(largest.changes) // 8)
        if now >= self._next_aging:
            self._next_aging = now + settings.history_age_s / 16
            for shelf in self._shelves.values():
                self.size_bytes -= shelf.drop_older(now - settings.history_age_s)
