"""The admission chain: policies that change or refuse a write before it is validated and stored.

A plugin says once, per (kind, operation, subresource), whether it takes part; the chain remembers the answer, so a
write passes only the plugins that concern it. Mutating plugins run in order before validation; validating ones
after it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from cloudcore.apiserver.context import Context, Target
from cloudcore.store.base import Store
from protocol.objects.keys import Body


class Operation(enum.StrEnum):
    """What a write does."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Admission:
    """One write on its way in, a context manager around all of it: what plugins hold for it ends with the context.

    Attributes:
        operation: What it does.
        target: Of what; the name is set, also for creations with a generated name.
        body: The object to be; a mutating plugin changes it in place. For a deletion the object as it is.
        old: The object as it is; None for a creation.
        context: Who asks.
        store: Where a plugin looks up what it needs.
        now: The present time as objects carry it, where a status is written; empty elsewhere.
        endings: Called once the write is stored, refused or given up; plugins add to it.
    """

    operation: Operation
    target: Target
    body: Body
    old: Body | None
    context: Context
    store: Store
    now: str = ""
    endings: list[Callable[[], None]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self.endings:
            end()


class Plugin(Protocol):
    """One policy."""

    @property
    def validating(self) -> bool:
        """Whether it runs after validation and changes nothing."""

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Tell whether it takes part in such writes; asked once for each combination."""

    async def admit(self, admission: Admission) -> None:
        """Change the body, or raise an :class:`cloudcore.errors.ApiError` to refuse the write."""


class AdmissionChain:
    """Plugins in the order they run.

    Args:
        plugins: The policies.
    """

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self._plugins = tuple(plugins)
        self._concerned: dict[tuple[bool, Operation, str, str], tuple[Plugin, ...]] = {}

    async def mutate(self, admission: Admission) -> None:
        """Run the mutating plugins that are concerned."""
        for plugin in self._select(admission, validating=False):
            await plugin.admit(admission)

    async def validate(self, admission: Admission) -> None:
        """Run the validating plugins that are concerned."""
        for plugin in self._select(admission, validating=True):
            await plugin.admit(admission)

    def _select(self, admission: Admission, *, validating: bool) -> tuple[Plugin, ...]:
        target = admission.target
        wanted = (validating, admission.operation, target.kind.resource, target.subresource)
        selected = self._concerned.get(wanted)
        if selected is None:
            selected = tuple(
                plugin for plugin in self._plugins if plugin.validating is validating and plugin.concerns(*wanted[1:])
            )
            self._concerned[wanted] = selected
        return selected
