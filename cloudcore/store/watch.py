"""A watch on asyncio: a position in the history, one future to wait on, one timer for bookmarks.

Contract. A watch owns no task and no queue. It registers with the shelves of its resources, which wake it at most
once per published group; changes of other resources never do. A watcher that falls behind costs nothing: it reads
on from its position, or gets ``Gone`` once that has been compacted. One task may iterate at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Self

from cloudcore.errors import Gone
from cloudcore.store.base import Change, Progress, Since
from cloudcore.store.history import History
from cloudcore.store.shelf import Shelf
from protocol.objects.keys import Revision

_by_revision = attrgetter("record.revision")


class HistoryWatch:
    """Iterates over the changes of some resources after a revision.

    Args:
        history: What to read.
        resources: The group-resources.
        since: The revision after which to start; of each resource its own, where several are given.
        namespace: Only this namespace's objects; None for all.
        bookmark_s: Seconds after which a bookmark is due if there was nothing else.
    """

    def __init__(
        self,
        history: History,
        resources: Collection[str],
        *,
        since: Since,
        namespace: str | None = None,
        bookmark_s: float = 60.0,
    ) -> None:
        self._history = history
        self._resources = tuple(resources)
        self._namespace = namespace
        self._bookmark_s = bookmark_s
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._bookmark_at = self._loop.time() + bookmark_s
        self._positions: dict[Shelf, int] = {}
        self._gone: Gone | None = None
        self._closed = False
        self._open({resource: since if isinstance(since, int) else since[resource] for resource in resources})

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Progress:
        """Wait for changes or a bookmark.

        Raises:
            Gone: The position has been compacted away.
        """
        while True:
            if self._gone is not None:
                raise self._gone
            if self._closed:
                raise StopAsyncIteration
            progress = self._read()
            if progress is not None:
                self._bookmark_at = self._loop.time() + self._bookmark_s
                return progress
            await self._wait()

    def wake(self) -> None:
        """Continue a waiting iteration."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def close(self) -> None:
        """End the watch; a waiting iteration stops."""
        self._closed = True
        for shelf in self._positions:
            shelf.listeners.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.wake()

    def _open(self, positions: Mapping[str, Revision]) -> None:
        try:
            for resource, since in positions.items():
                self._history.check_known(resource, since)
        except Gone as gone:
            self._gone = gone
            return
        for resource, since in positions.items():
            shelf = self._history.shelf(resource)
            self._positions[shelf] = shelf.position_after(since)
            shelf.listeners[self] = None

    async def _wait(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_at(self._bookmark_at, self._on_timer)
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _on_timer(self) -> None:
        # The timer is not moved at each change, only when it fires: most watches are busier than their bookmarks.
        self._timer = None
        if self._loop.time() < self._bookmark_at:
            self._timer = self._loop.call_at(self._bookmark_at, self._on_timer)
        else:
            self.wake()

    def _read(self) -> Progress | None:
        history = self._history
        limit = history.settings.watch_batch
        unread = [shelf for shelf, position in self._positions.items() if position < shelf.end]
        if not unread:
            due = self._loop.time() >= self._bookmark_at
            return Progress((), history.reached(self._resources)) if due else None
        changes = self._take(unread, limit)
        complete = all(self._positions[shelf] == shelf.end for shelf in unread)
        revision = history.reached(self._resources) if complete else changes[-1].revision
        if self._namespace is not None:
            changes = [change for change in changes if change.record.key.namespace == self._namespace]
            if not changes:
                # More may be there; if not, this much silence is worth a bookmark only when one is due.
                return Progress((), revision) if not complete else self._read()
        return Progress(changes, revision)

    def _take(self, shelves: list[Shelf], limit: int) -> list[Change]:
        merged: list[Change] = []
        for shelf in shelves:
            position = self._positions[shelf]
            if position < shelf.first:
                self._gone = Gone(f"too old resource version of {shelf.resource} ({shelf.floor})")
                self.close()
                raise self._gone
            merged.extend(shelf.since(position, limit))
        if len(shelves) > 1:
            # Each shelf gave its oldest `limit` changes, so the oldest `limit` of all are among them.
            merged.sort(key=_by_revision)
            del merged[limit:]
            for shelf in shelves:
                self._positions[shelf] += sum(1 for change in merged if change.record.key.resource == shelf.resource)
        else:
            self._positions[shelves[0]] += len(merged)
        return merged
