"""What Services hold of things there is one of each: addresses, node ports.

Who holds what is read from the store at first use and kept up by what is handed out, since every Service is written
through the plugins that use this. What a Service has given back, or was meant for one that was never stored, is found
free when it is asked for: the Service is looked up. That says nothing while the write is still under way, so until it
ends what it was given is nobody else's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Generic, TypeVar

from cloudcore.apiserver.admission.chain import Admission
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
        self._promised: Counter[T] = Counter()

    async def claim(self, value: T, admission: Admission) -> bool:
        """Give ``value`` to the Service that is written, unless another has it; a dry run is only told.

        Returns:
            Whether the Service may have it.
        """
        owners, asker = await self._known(admission.store), admission.target.key
        owner = owners.get(value)
        if owner is not None and owner != asker:
            if await self._holds(admission.store, owner, value):
                return False
            # Asking the store took a while, in which a third may have been faster.
            if owners.get(value) != owner or self._promised[value]:
                return False
        self._promise(value, admission)
        return True

    async def draw(self, candidates: Iterable[T], admission: Admission) -> T | None:
        """Give the first of ``candidates`` that is free to the Service that is written; None where none is."""
        owners, passed = await self._known(admission.store), []
        for value in candidates:
            if value not in owners:
                self._promise(value, admission)
                return value
            passed.append(value)
        for value in passed:
            if await self.claim(value, admission):
                return value
        return None

    def _promise(self, value: T, admission: Admission) -> None:
        if admission.context.dry_run or self._owners is None:
            return
        self._owners[value] = admission.target.key
        self._promised[value] += 1
        admission.endings.append(partial(self._end, value))

    def _end(self, value: T) -> None:
        self._promised[value] -= 1
        if not self._promised[value]:
            del self._promised[value]

    async def _holds(self, store: Store, owner: ObjectKey, value: T) -> bool:
        if self._promised[value]:
            return True
        try:
            return value in self._held((await store.get(owner)).decode())
        except NotFound:
            return False

    async def _known(self, store: Store) -> dict[T, ObjectKey]:
        if self._owners is None:
            listing = await store.list(SERVICES)
            known = {value: record.key for record in listing.records for value in self._held(record.decode())}
            if self._owners is None:  # else another write has listed meanwhile, and may have been given something
                self._owners = known
        return self._owners
