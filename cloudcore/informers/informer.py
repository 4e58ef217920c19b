"""An informer: the cache of one resource, those who follow it, and those who wait for a revision of it.

Contract: everything runs on the event loop. One task (the reflector's) changes the cache; handlers are plain
functions, called in revision order after the cache and its indexes have the change. A handler must not block; one
that raises is logged and does not stop the others, since one object nobody foresaw must not stop the cloud.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterable

import structlog

from cloudcore.informers.cache import Cache, IndexFunction
from protocol.objects.keys import Body, ObjectKey, Revision

log = structlog.get_logger(__name__)

Handler = Callable[[Body | None, Body | None], None]
"""``handler(old, new)``: added (None, body), changed (body, body), deleted (body, None)."""


class Informer:
    """Readers' view of one resource. Bodies it returns are shared: read them, never change them.

    Args:
        resource: The group-resource.
    """

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.cache = Cache(resource)
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()
        self._waiters: list[tuple[Revision, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def revision(self) -> Revision:
        """The cache is complete up to this revision of the store."""
        return self.cache.revision

    @property
    def synced(self) -> bool:
        """Whether the first list has been taken in."""
        return self._synced.is_set()

    def get(self, key: ObjectKey) -> Body | None:
        """Return the object, or None."""
        return self.cache.get(key)

    def index_values(self, index: str) -> Iterable[str]:
        """Return the values under which an index has objects."""
        return self.cache.index_values(index)

    def list(self, *, index: str | None = None, value: str = "") -> list[Body]:
        """Return all objects, or those that ``index`` has under ``value`` (``namespace`` is always there)."""
        return self.cache.list(index=index, value=value)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep an index; the same again changes nothing."""
        self.cache.add_index(name, function)

    def subscribe(self, handler: Handler) -> Callable[[], None]:
        """Call ``handler`` for every change from now on, and at once, as added, for each object held already.

        Returns:
            A function that ends the subscription.
        """
        self._handlers.append(handler)
        for body in self.cache:
            self._call(handler, None, body)

        def unsubscribe() -> None:
            if handler in self._handlers:
                self._handlers.remove(handler)

        return unsubscribe

    async def wait_synced(self) -> None:
        """Wait until the first list has been taken in and handed to all handlers."""
        await self._synced.wait()

    async def wait_revision(self, revision: int) -> None:
        """Wait until the cache has every change of this resource up to ``revision``.

        Only revisions of writes to this resource are sure to be reached soon; others come with the next bookmark.
        """
        if self.cache.revision >= revision:
            return
        reached = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (Revision(revision), next(self._order), reached))
        await reached

    def put(self, key: ObjectKey, body: Body) -> None:
        """Take in an added or changed object (called by the reflector)."""
        self._notify(self.cache.put(key, body), body)

    def remove(self, key: ObjectKey) -> None:
        """Take in a deletion (called by the reflector)."""
        old = self.cache.remove(key)
        if old is not None:
            self._notify(old, None)

    def advance(self, revision: Revision) -> None:
        """Note that everything up to ``revision`` is in (called by the reflector)."""
        self.cache.revision = max(self.cache.revision, revision)
        while self._waiters and self._waiters[0][0] <= self.cache.revision:
            _, _, reached = heapq.heappop(self._waiters)
            if not reached.done():
                reached.set_result(None)

    def mark_synced(self) -> None:
        """Note that the first list is in (called by the reflector)."""
        self._synced.set()

    def _notify(self, old: Body | None, new: Body | None) -> None:
        for handler in tuple(self._handlers):
            self._call(handler, old, new)

    def _call(self, handler: Handler, old: Body | None, new: Body | None) -> None:
        try:
            handler(old, new)
        except Exception:
            body: Body = new or old or {}
            name = body.get("metadata", {}).get("name")
            log.exception("handler failed", resource=self.resource, name=name, handler=repr(handler))


async def all_synced(informers: Iterable[Informer]) -> None:
    """Wait until every one of ``informers`` has its first list."""
    for informer in informers:
        await informer.wait_synced()
