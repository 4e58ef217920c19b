"""Tells watchers what changes on the device. A :class:`edgecore.meta.base.Subscriber`.

Contract. Nothing is queued for a watcher: each has a place in the history and reads on from it, as fast as its
connection takes it. One whose place has gone is told ``Expired``, and lists again. All runs on the event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Protocol

from edgecore.meta.base import Applied
from edgecore.metaserver.failures import Failure
from edgecore.metaserver.history import Change, History
from edgecore.metaserver.kinds import BY_RESOURCE, KINDS, Kind
from edgecore.metaserver.objects import Objects
from edgecore.metaserver.selection import Selection
from edgecore.metaserver.watching import Watch
from protocol.objects.keys import Body, ObjectKey

BOOKMARK_S: Final = 60.0


class Shown(Protocol):
    """Returns an object as a watcher wants it; the ``first`` one names the columns."""

    def __call__(self, data: bytes, *, first: bool) -> bytes:
        """Return the JSON to send."""


class Changes:
    """The history of what the device shows.

    Args:
        objects: What it shows.
        base: A number that no earlier life's revisions have reached.
        clock: Seconds on the event loop's clock.

    Attributes:
        history: The revisions.
    """

    def __init__(self, objects: Objects, base: int, clock: Callable[[], float]) -> None:
        self.history = History(base)
        self._objects = objects
        self._clock = clock
        self._moved = asyncio.Event()
        self._ended = False
        for kind in KINDS:
            self.history.seed(objects.list(kind.resource))

    def applied(self, changes: Sequence[Applied]) -> None:
        """Take note of committed changes."""
        for change in changes:
            self.look(change.key, None if change.previous is None else change.previous.body)

    def completed(self) -> None:
        """Take note that all that is wanted is known; nothing that is shown changes by it."""

    def look(self, key: ObjectKey, last: Body | None = None) -> None:
        """Look at an object again.

        Args:
            key: Which.
            last: Its last state, for where it is no more.
        """
        if key.resource in BY_RESOURCE and self.history.observe(key, self._objects.get(key), last):
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    def close(self) -> None:
        """End all watches."""
        self._ended = True
        self._moved.set()

    async def stream(
        self,
        selection: Selection,
        watch: Watch,
        current: Sequence[tuple[ObjectKey, bytes]],
        shown: Shown,
        kind: Kind,
    ) -> AsyncIterator[bytes]:
        """Yield the lines of a watch until its time is up.

        Args:
            selection: What it wants to see.
            watch: How it wants to see it.
            current: What is there, as of the moment of the call.
            shown: Writes objects.
            kind: The kind, for bookmarks.
        """
        at = watch.since if watch.since and not watch.initial else self.history.revision
        ends_at, first = self._clock() + watch.timeout_s, True
        for _, data in current:
            yield _line("ADDED", shown(data, first=first))
            first = False
        if watch.marks_initial:
            yield _bookmark(kind, at, initial=True)
        while not self._ended:
            moved = self._moved
            try:
                changes = self.history.since(at)
            except Failure as failure:
                yield _line("ERROR", json.dumps(failure.status()).encode())
                return
            for change in changes:
                at = change.revision
                event = _event_of(change, selection)
                if event:
                    yield _line(event, shown(change.data, first=first))
                    first = False
            if changes:
                continue  # writing them may have taken long
            left_s = ends_at - self._clock()
            if left_s <= 0:
                if watch.bookmarks:
                    yield _bookmark(kind, at)
                return
            if not await _happens(moved, min(left_s, BOOKMARK_S)) and watch.bookmarks and left_s > BOOKMARK_S:
                yield _bookmark(kind, at)


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _event_of(change: Change, selection: Selection) -> str:
    """Return what a change is to whoever sees only what ``selection`` selects; empty for nothing."""
    if not selection.selects_key(change.key):
        return ""
    before, after = selection.selects(change.before), selection.selects(change.after)
    if after:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else ""


def _line(event: str, data: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (event.encode(), data)


def _bookmark(kind: Kind, revision: int, *, initial: bool = False) -> bytes:
    metadata: Body = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    body = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
    return _line("BOOKMARK", json.dumps(body).encode())
