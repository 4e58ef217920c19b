"""Follows one resource of an API server: list, watch, and again, for as long as its task lives.

Contract. One task per resource, the store's. A watch that ends is resumed from where it was; one that cannot be
(``410 Gone``) is followed by a list. Whatever fails is tried again with back-off, for ever: a server that is away is
nobody's end. Only what waiting cannot mend goes to those who wait for the first list: no such resource, no right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any, Final

import orjson
import structlog

from cloudcore.errors import ApiError, Forbidden, Gone, MethodNotAllowed, NotFound, StorageUnavailable, Unauthorized
from cloudcore.store.base import ChangeType, Record
from cloudcore.store.kubernetes.copies import Copies
from cloudcore.store.kubernetes.discovery import Discovery
from cloudcore.store.kubernetes.failures import failure_of_status
from cloudcore.store.kubernetes.lines import Lines
from cloudcore.store.kubernetes.objects import revision_of
from cloudcore.store.kubernetes.session import ApiSession
from protocol.backoff import Backoff
from protocol.errors import AiokubeedgeError, UsageError
from protocol.objects.keys import Body, ObjectKey, Revision, Uid

log = structlog.get_logger(__name__)

PAGE: Final = 500
WATCH_S: Final = (240, 480)
"""How long a watch is asked to last, seconds, from and to: resuming is spread out over replicas and resources."""
_HOPELESS: Final = (Forbidden, NotFound, MethodNotAllowed, Unauthorized)
_LASTED_S: Final = 1.0
"""A watch that ends sooner without an event counts as failed: a server that closes at once is not asked at once."""


class Rewound(AiokubeedgeError):
    """The API server's versions have gone back: its database was restored from a backup."""


class Follower:
    """Keeps a copy of one resource.

    Args:
        resource: The group-resource.
        session: Sends requests.
        discovery: Knows where the resource is.
        copies: Where the copy is kept.
        rng: Source of jitter.
    """

    def __init__(self, resource: str, session: ApiSession, discovery: Discovery, copies: Copies, rng: Random) -> None:
        self.resource = resource
        self.trouble = ""
        """Why the copy is not kept up at the moment; empty while it is."""
        self._session = session
        self._discovery = discovery
        self._copies = copies
        self._rng = rng
        self._backoff = Backoff(session.settings.reconnect, rng)
        self._listed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters: dict[asyncio.Future[None], Revision] = {}
        self._deletions: dict[tuple[ObjectKey, Uid], asyncio.Future[Record]] = {}
        self.lists = 0
        """Lists that were taken; the second and later ones are gaps."""

    @property
    def reached(self) -> Revision:
        """The revision up to which the copy is complete."""
        return self._copies.reached((self.resource,))

    async def ready(self) -> None:
        """Wait for the first list.

        Raises:
            ApiError: There will be none: the server has no such resource, or we no right to it.
        """
        await asyncio.shield(self._listed)

    async def wait_revision(self, revision: Revision) -> None:
        """Wait until the copy has every change up to ``revision``, one of this resource's own."""
        await self.ready()
        if self.reached >= revision:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = revision
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)

    def deletion(self, key: ObjectKey, uid: Uid) -> asyncio.Future[Record]:
        """Return what will be the last state of an object that is held now, with the revision of its deletion."""
        future = self._deletions.get((key, uid))
        if future is None:
            future = self._deletions[key, uid] = asyncio.get_running_loop().create_future()
        return future

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            Rewound: The server's versions have gone back.
        """
        try:
            while True:
                try:
                    await self._list()
                    await self._watch_on()
                except Gone as exc:
                    await self._list_again(exc)
                except (ApiError, UsageError) as exc:
                    if self._is_hopeless(exc):
                        return
                    await self._pause(exc)
        finally:
            self._give_up()

    async def _list_again(self, gone: Gone) -> None:
        """Go on to a list: at once after a watch that gave something, with back-off after one that did not."""
        if self._backoff.retries:
            await self._pause(gone)
        else:
            self._backoff.next_delay_s()
            log.info("listing again", resource=self.resource, cause=gone.message)

    def _is_hopeless(self, error: Exception) -> bool:
        """Tell whoever waits for the first list of what will not pass; tell whether somebody could be told."""
        if self._listed.done() or not isinstance(error, _HOPELESS):
            return False
        self._listed.set_exception(error)
        self._listed.exception()  # taken note of: nobody may be waiting
        return True

    # Listing

    async def _list(self) -> None:
        row = await self._discovery.of(self.resource)
        bodies: list[Body] = []
        query = {"limit": str(PAGE)}
        while True:
            page = await self._session.call("GET", row.path(), query=query)
            for item in page.get("items") or ():
                # Items of a list do not say what they are.
                bodies.append({"apiVersion": row.api_version, "kind": row.kind, **item})
            token = page["metadata"].get("continue")
            if not token:
                break
            query = {"limit": str(PAGE), "continue": token}
            await asyncio.sleep(0)
        self._take_list(bodies, revision_of(page["metadata"]))

    def _take_list(self, bodies: list[Body], revision: Revision) -> None:
        if revision < self.reached:
            raise Rewound(
                f"the API server's version of {self.resource} is {revision}, {self.reached} was seen: "
                "its database was restored"
            )
        before = self._copies.shelf(self.resource).records
        self._copies.replace(self.resource, bodies, revision)
        self.lists += 1
        self._well()
        if not self._listed.done():
            self._listed.set_result(None)
        self._note_missing(before, revision)
        self._wake()

    def _note_missing(self, before: Mapping[ObjectKey, Record], revision: Revision) -> None:
        """Tell those who wait for a deletion that nobody watched."""
        present = self._copies.shelf(self.resource).records
        for key, uid in list(self._deletions):
            now, last = present.get(key), before.get(key)
            if (now is None or now.uid != uid) and last is not None:
                self._note_deletion(Record(key, uid, revision, last.content_revision, last.tail))

    # Watching

    async def _watch_on(self) -> None:
        """Watch, and resume, until the position is gone."""
        while True:
            began, before = asyncio.get_running_loop().time(), self.reached
            try:
                await self._watch()
            except Gone:
                raise
            except (ApiError, UsageError) as exc:
                await self._pause(exc)
                continue
            lasted_s = asyncio.get_running_loop().time() - began
            if lasted_s < _LASTED_S and self.reached == before:
                await self._pause(Gone("the watch was closed at once"))

    async def _watch(self) -> None:
        query = {
            "watch": "1",
            "resourceVersion": str(self.reached),
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(self._rng.randint(*WATCH_S)),
        }
        lines, row = Lines(), await self._discovery.of(self.resource)
        async with self._session.stream(row.path(), query) as pieces:
            self._well()
            async for piece in pieces:
                self._take(lines.feed(piece))

    def _take(self, lines: list[bytes]) -> None:
        """Take over complete events; what comes before an error counts."""
        events: list[tuple[ChangeType, Body]] = []
        for line in lines:
            event = _parsed(line)
            kind, body = event.get("type"), event.get("object") or {}
            if kind in _CHANGES:
                events.append((ChangeType(kind), body))
                continue
            self._take_changes(events)
            events = []
            if kind == "BOOKMARK":
                self._copies.bookmark(self.resource, revision_of(body["metadata"]))
            elif kind == "ERROR":
                raise failure_of_status(body)
        self._take_changes(events)
        if lines:
            self._backoff.reset()
            self._wake()

    def _take_changes(self, events: list[tuple[ChangeType, Body]]) -> None:
        if not events:
            return
        now = asyncio.get_running_loop().time()
        for change in self._copies.take(self.resource, events, now):
            if change.type is ChangeType.DELETED:
                self._note_deletion(change.record)

    def _note_deletion(self, record: Record) -> None:
        future = self._deletions.pop((record.key, record.uid), None)
        if future is not None and not future.done():
            future.set_result(record)

    # Waiting

    def _wake(self) -> None:
        for waiter, revision in list(self._waiters.items()):
            if revision <= self.reached and not waiter.done():
                waiter.set_result(None)

    def _well(self) -> None:
        if self.trouble:
            log.info("following again", resource=self.resource)
        self.trouble = ""

    async def _pause(self, error: ApiError | UsageError) -> None:
        self.trouble = str(error)
        delay_s = self._backoff.next_delay_s(at_least_s=getattr(error, "retry_after_s", None) or 0.0) or 0.0
        log.warning("not followed", resource=self.resource, cause=self.trouble, retry_s=round(delay_s, 1))
        await asyncio.sleep(delay_s)

    def _give_up(self) -> None:
        """Nobody will learn anything from here any more."""
        over: list[asyncio.Future[Any]] = [self._listed, *self._waiters, *self._deletions.values()]
        for future in over:
            if not future.done():
                future.set_exception(StorageUnavailable(f"{self.resource} is no longer followed"))
                future.exception()  # taken note of: nobody may be waiting


_CHANGES: Final = frozenset(kind.value for kind in ChangeType)


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        event: Any = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise ApiError(f"the API server sent an event that cannot be read: {exc}") from exc
    if not isinstance(event, dict):
        raise ApiError("the API server sent an event that is no object")
    return event
