"""The verb ``watch``: changes of the selected objects as they are committed.

An object that enters the selection is ADDED, one that leaves it is DELETED, whatever happened in the store. Lines
are made by concatenation from the stored bytes. The watch holds a position in the store's history and no queue: a
slow reader costs nothing, and gets ``Gone`` once its position has been compacted away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Target
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.list import parse_version, require_reached
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.selection import Selection, select, selected
from cloudcore.errors import BadRequest
from cloudcore.store.base import Change, ChangeType, Progress, Record
from protocol.objects.keys import Revision

_GROUP = 500
"""So many present objects are yielded at a time, for the reader to write them out in between."""
_INITIAL_EVENTS_END = b'"k8s.io/initial-events-end":"true"'


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What a watch asks for; every text as the query string has it.

    Attributes:
        label_selector: Which labels.
        field_selector: Which fields.
        resource_version: Changes after this revision; empty or ``0``: the present objects as ADDED, then changes.
        bookmarks: Whether to send bookmarks.
        send_initial_events: Whether to send the present objects and a bookmark that ends them.
        bookmark_s: A bookmark at least so often, seconds.
    """

    label_selector: str = ""
    field_selector: str = ""
    resource_version: str = ""
    bookmarks: bool = False
    send_initial_events: bool = False
    bookmark_s: float = 60.0


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event.

    Attributes:
        type: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``.
        record: The object; None for a bookmark.
        json: The object, or the bookmark's, encoded.
    """

    type: str
    record: Record | None
    json: bytes

    @property
    def line(self) -> bytes:
        """The event as the API streams it, with its line's end."""
        return b'{"type":"%b","object":%b}\n' % (self.type.encode(), self.json)


def watch(registry: Registry, target: Target, options: WatchOptions) -> AsyncGenerator[Sequence[WatchEvent]]:
    """Return the events of a kind in revision order, in groups; an empty ``target.namespace`` means all namespaces.

    What is wrong with the request raises here, before a stream has begun. The caller closes the iterator
    (``contextlib.aclosing``). It ends when the store is closed, and raises ``Gone`` where the revision has been
    compacted away.

    Raises:
        BadRequest: A selector or version cannot be read.
        GatewayTimeout: The revision has not been issued yet.
        MethodNotAllowed: The kind cannot be watched.
    """
    kind = target.kind
    if "watch" not in kind.verbs:
        raise failures.not_allowed(kind, "watch")
    if options.send_initial_events and not options.bookmarks:
        raise BadRequest("sendInitialEvents: Forbidden: sendInitialEvents requires setting allowWatchBookmarks to true")
    selection = select(target.version or kind, options.label_selector, options.field_selector, target.name)
    since = parse_version(options.resource_version)
    require_reached(registry, since)
    return _stream(registry, target, options, selection, since)


async def _stream(
    registry: Registry, target: Target, options: WatchOptions, selection: Selection, since: Revision
) -> AsyncGenerator[Sequence[WatchEvent]]:
    kind = target.kind
    if not since or options.send_initial_events:
        listing = await registry.store.list(kind.resource, namespace=target.namespace or None)
        since = listing.revision
        present = await selected(selection, listing.records)
        for start in range(0, len(present), _GROUP):
            yield [WatchEvent("ADDED", record, record.json) for record in present[start : start + _GROUP]]
        if options.send_initial_events:
            yield [bookmark(kind, since, initial_events_end=True)]
    changes = _changes(registry, target, selection, options, since)
    async with aclosing(changes):
        async for events in changes:
            yield events


async def _changes(
    registry: Registry, target: Target, selection: Selection, options: WatchOptions, since: Revision
) -> AsyncGenerator[list[WatchEvent]]:
    kind, loop = target.kind, asyncio.get_running_loop()
    opened = registry.store.watch(
        (kind.resource,), since=since, namespace=target.namespace or None, bookmark_s=options.bookmark_s
    )
    said_at = loop.time()
    try:
        async for progress in opened:
            if kind.custom is not None and kind.resource not in registry.kinds:
                return  # its definition is gone, and nothing will change any more
            events = _events(selection, progress)
            overdue = not progress.changes or loop.time() - said_at >= options.bookmark_s
            if not events and options.bookmarks and overdue:
                events = [bookmark(kind, progress.revision)]
            if events:
                said_at = loop.time()
                yield events
    finally:
        opened.close()


def _events(selection: Selection, progress: Progress) -> list[WatchEvent]:
    if selection.is_everything:
        return [WatchEvent(change.type.value, change.record, change.record.json) for change in progress.changes]
    return [event for change in progress.changes if (event := _seen_through(selection, change)) is not None]


def _seen_through(selection: Selection, change: Change) -> WatchEvent | None:
    """Return the event that a watcher of ``selection`` sees, or None."""
    record, previous = change.record, change.previous
    selected_before = previous is not None and selection.selects(previous)
    selected_now = change.type is not ChangeType.DELETED and selection.selects(record)
    if selected_now:
        kind = ChangeType.MODIFIED if selected_before else ChangeType.ADDED
        return WatchEvent(kind.value, record, record.json)
    if selected_before:
        return WatchEvent(ChangeType.DELETED.value, record, record.json)
    return None


def bookmark(kind: Kind, revision: Revision, *, initial_events_end: bool = False) -> WatchEvent:
    """Return the event that says a watch is complete up to ``revision``."""
    annotations = b',"annotations":{%b}' % _INITIAL_EVENTS_END if initial_events_end else b""
    body = b'{"kind":"%b","apiVersion":"%b","metadata":{"resourceVersion":"%d","creationTimestamp":null%b}}' % (
        kind.kind.encode(),
        kind.api_version.encode(),
        revision,
        annotations,
    )
    return WatchEvent("BOOKMARK", None, body)
