"""The copies of an API server's resources: what has been listed and watched, as a history others read from.

Performs no I/O. Each resource has a line of revisions of its own, as far as it has been followed; what was missed
(a watch that could not be resumed) is a gap, and whoever stood before it is told ``Gone``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cloudcore.errors import Gone
from cloudcore.store.base import Change, ChangeType, Record
from cloudcore.store.history import History
from cloudcore.store.kubernetes.objects import Content, content_of, key_of, record_of
from cloudcore.store.settings import StoreSettings
from protocol.objects.keys import Body, ObjectKey, Revision


class Copies(History):
    """A history that is fed by an API server.

    Args:
        settings: The bounds.
    """

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(Revision(0), settings)
        self._reached: dict[str, Revision] = {}
        self._contents: dict[str, dict[ObjectKey, Content]] = {}

    def reached(self, resources: Collection[str]) -> Revision:
        """Return the revision up to which ``resources`` have been followed; of several, the lowest."""
        return min((self._reached.get(resource, Revision(0)) for resource in resources), default=self.revision)

    def check_known(self, resource: str, revision: Revision) -> None:
        """Check that all changes of ``resource`` after ``revision`` are here.

        Raises:
            Gone: They are not.
        """
        floor = self.shelf(resource).floor
        if revision < floor:
            raise Gone(f"too old resource version of {resource}: {revision} ({floor})")
        if revision > self.revision:
            raise Gone(f"unknown resource version of {resource}: {revision}, current: {self.revision}")

    def replace(self, resource: str, bodies: Iterable[Body], revision: Revision) -> None:
        """Take over a complete list; those who follow from before it are told ``Gone``.

        What was and still is there keeps the version of its projection unless its content changed.
        """
        shelf, before = self.shelf(resource), self._contents.get(resource, {})
        contents = self._contents[resource] = {}
        records: list[Record] = []
        for body in bodies:
            key = key_of(resource, body)
            contents[key] = content = content_of(body, before.get(key))
            records.append(record_of(key, body, content.revision))
        self.size_bytes -= shelf.size_bytes
        shelf.restart(records, revision)
        self._reach(resource, revision)
        for listener in list(shelf.listeners):
            listener.wake()

    def take(self, resource: str, events: Iterable[tuple[ChangeType, Body]], now: float) -> list[Change]:
        """Take over the events of a watch, in their order, and return what changed by them."""
        shelf, contents = self.shelf(resource), self._contents.setdefault(resource, {})
        present = dict[ObjectKey, Record | None]()
        changes: list[Change] = []
        for kind, body in events:
            key = key_of(resource, body)
            content = content_of(body, contents.get(key))
            record = record_of(key, body, content.revision)
            before = present[key] if key in present else shelf.records.get(key)
            reached = self._reached.get(resource, Revision(0))
            if record.revision <= reached:
                if kind is not ChangeType.DELETED or before is None or before.uid != record.uid:
                    continue  # a repeat
                # Not every server gives a deletion a version of its own.
                record = Record(key, record.uid, reached, record.content_revision, record.tail)
            changes += _changes(kind, record, before)
            if kind is ChangeType.DELETED:
                contents.pop(key, None)
                present[key] = None
            else:
                contents[key] = content
                present[key] = record
            self._reach(resource, record.revision)
        if changes:
            self.publish(changes, self.revision, now)
        return changes

    def bookmark(self, resource: str, revision: Revision) -> None:
        """Note that nothing happened up to ``revision``."""
        self._reach(resource, revision)

    def _reach(self, resource: str, revision: Revision) -> None:
        self._reached[resource] = revision
        self.revision = max(self.revision, revision)


def _changes(kind: ChangeType, record: Record, before: Record | None) -> list[Change]:
    """Return what a watch's event means where ``before`` was held: the server's word for it may be another's view."""
    if kind is ChangeType.DELETED:
        return [] if before is None else [Change(ChangeType.DELETED, _as_held(record, before), before)]
    if before is None:
        return [Change(ChangeType.ADDED, record)]
    if before.uid != record.uid:
        gone = Record(before.key, before.uid, record.revision, before.content_revision, before.tail)
        return [Change(ChangeType.DELETED, gone, before), Change(ChangeType.ADDED, record)]
    return [Change(ChangeType.MODIFIED, record, before)]


def _as_held(deleted: Record, before: Record) -> Record:
    """Return a deletion's record with the version of the projection that was held."""
    return Record(deleted.key, deleted.uid, deleted.revision, before.content_revision, deleted.tail)
