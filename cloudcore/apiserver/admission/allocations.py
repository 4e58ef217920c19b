"""What Services hold of things there is one of each: addresses, node ports.

Who holds what is read from the store at first use and kept up by what is handed out, since every Service is written
through the plugins that use this. What a Service has given back, or was meant for one that was never stored, is found
free when it is asked for: the Service is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from cloudcore.errors import NotFound
from cloudcore.store.base import Store
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import SERVICES

T = TypeVar("T", bound=Hashable)


class Allocations(Generic[T]):
    """Who holds what.

    Args:
        held: Returns what a Service holds.
    """

    def __init__(self, held: Callable[[Body], Iterable[T]]) -> None:
        self._held = held
        self._owners: dict[T, ObjectKey] | None = None

    async def is_free(self, store: Store, value: T, asker: ObjectKey) -> bool:
        """Tell whether ``asker`` may have ``value``: nobody else has it."""
        owner = (await self._known(store)).get(value)
        if owner is None or owner == asker:
            return True
        try:
            return value not in self._held((await store.get(owner)).decode())
        except NotFound:
            return True

    async def draw(self, store: Store, candidates: Iterable[T], asker: ObjectKey) -> T | None:
        """Return the first of ``candidates`` that is free; None where none is."""
        owners, passed = await self._known(store), []
        for value in candidates:
            if value not in owners:
                return value
            passed.append(value)
        for value in passed:
            if await self.is_free(store, value, asker):
                return value
        return None

    def take(self, value: T, owner: ObjectKey) -> None:
        """Note that ``owner`` has ``value``."""
        if self._owners is not None:
            self._owners[value] = owner

    async def _known(self, store: Store) -> dict[T, ObjectKey]:
        if self._owners is None:
            listing = await store.list(SERVICES)
            self._owners = {value: record.key for record in listing.records for value in self._held(record.decode())}
        return self._owners
