"""The informer factory: one reflector per resource, shared by everybody who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cloudcore.informers.informer import Informer, all_synced
from cloudcore.informers.reflector import Reflector
from cloudcore.store.base import Store


def _steady(_attempt: int) -> float:
    return 1.0


class Informers:
    """All informers of one process.

    Ask for informers at any time; their reflectors run inside :meth:`run`, each in a task of its own. If one dies,
    ``run`` raises: a cloud with a blind spot must not go on.

    Args:
        store: Where objects come from.
        delay: Seconds before the n-th retry in a row of a failed list.
    """

    def __init__(self, store: Store, *, delay: Callable[[int], float] = _steady) -> None:
        self._store = store
        self._delay = delay
        self._informers: dict[str, Informer] = {}
        self._group: asyncio.TaskGroup | None = None
        self._idle = asyncio.Event()

    def for_resource(self, resource: str) -> Informer:
        """Return the informer of ``resource``; it is made on first use and started with, or during, :meth:`run`."""
        informer = self._informers.get(resource)
        if informer is None:
            informer = self._informers[resource] = Informer(resource)
            if self._group is not None:
                self._start(self._group, informer)
        return informer

    def existing(self, resource: str) -> Informer | None:
        """Return the informer of ``resource`` if anybody has asked for it."""
        return self._informers.get(resource)

    def resources(self) -> list[str]:
        """Return the resources that have an informer."""
        return list(self._informers)

    @property
    def synced(self) -> bool:
        """Whether every informer asked for so far has its first list."""
        return all(informer.synced for informer in self._informers.values())

    async def wait_synced(self) -> None:
        """Wait until every informer asked for so far has its first list."""
        await all_synced(list(self._informers.values()))

    async def run(self) -> None:
        """Run all reflectors until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for informer in list(self._informers.values()):
                    self._start(group, informer)
                await self._idle.wait()
            finally:
                self._group = None

    def _start(self, group: asyncio.TaskGroup, informer: Informer) -> None:
        reflector = Reflector(self._store, informer, delay=self._delay)
        group.create_task(reflector.run(), name=f"reflector {informer.resource}")
