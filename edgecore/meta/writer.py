"""What stands between the meta store and its engine: what waits to be written, and what a failing disk asks for.

Concurrency: ``applying`` is held from deciding on a batch until its commit has settled; :meth:`Writer.commit` is for
whoever holds it. ``_saving`` is held while what waits is written, so that the reports of many pods gather into one
commit. The two may be in one group of the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from edgecore.meta.base import StorageUnavailable
from edgecore.meta.engine import Change, DropEvent, DropReport, Engine, EventRow, FactRow, ReportRow, Snapshot
from protocol.errors import LocalProtocolError, UsageError

log = structlog.get_logger("edgecore.meta")

SAVE_AGAIN_S: Final = 5.0
"""How long what is only in memory (an acknowledgement, a report the disk refused) waits for the next write."""


class Writer:
    """Writes changes through an engine, which it owns.

    Args:
        engine: Where rows are kept.
        reloaded: Called after a flush that failed half-way, with what lies on disk; returns what has to be written
            before anything else.
    """

    def __init__(self, engine: Engine, reloaded: Callable[[Snapshot], Sequence[Change]]) -> None:
        self.applying = asyncio.Lock()
        self._engine = engine
        self._reloaded = reloaded
        self._saving = asyncio.Lock()
        self._unsaved: dict[str, Change] = {}
        self._wake = asyncio.Event()
        self._stale = False
        self.problem = ""
        """Why the disk takes no writes; empty while it does, as far as is known."""

    def keep(self, changes: Iterable[Change]) -> None:
        """Have ``changes`` written with the next save, in place of what waits to be written about the same."""
        self._unsaved.update((_row_id(change), change) for change in changes)

    def wake(self) -> None:
        """Have what waits written within :data:`SAVE_AGAIN_S`."""
        self._wake.set()

    async def run(self) -> None:
        """Write what waits, again and again. Never returns."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(SAVE_AGAIN_S)
            self._wake.clear()
            await self.save()

    async def close(self) -> None:
        """Write what waits and close the engine. Idempotent."""
        await self.save()
        await self._engine.close()

    async def save(self) -> None:
        """Write what waits now. What the disk refuses goes on waiting."""
        async with self._saving:
            if not self._unsaved:
                return
            waiting, self._unsaved = self._unsaved, {}
            try:
                if self._stale:
                    async with self.applying:
                        await self._reload()
                await self._engine.commit(list(waiting.values()))
            except StorageUnavailable as error:
                self._unsaved = {**waiting, **self._unsaved}
                self._note_failure(error)
                self._wake.set()
            else:
                self._note_success()

    async def commit(self, changes: Sequence[Change]) -> None:
        """Commit for a caller that holds ``applying``.

        Raises:
            StorageUnavailable: The disk does not take it.
        """
        try:
            await self._reload()
            await self._engine.commit(changes)
        except StorageUnavailable as error:
            self._note_failure(error)
            raise
        self._note_success()

    async def _reload(self) -> None:
        """After a failed flush, find out what lies on disk. The caller holds ``applying``."""
        if not self._stale:
            return
        try:
            snapshot = self._engine.load()
        except UsageError as error:
            raise StorageUnavailable(str(error), uncertain=True) from error
        missing = self._reloaded(snapshot)
        if missing:
            await self._engine.commit(missing)
        self._stale = False

    def _note_failure(self, error: StorageUnavailable) -> None:
        self._stale = self._stale or error.uncertain
        if not self.problem:
            log.error("meta store takes no writes", cause=str(error))
        self.problem = str(error)

    def _note_success(self) -> None:
        if self.problem:
            self.problem = ""
            log.info("meta store takes writes again")


def _row_id(change: Change) -> str:
    """Name the row of a report or an event (their keys do not overlap), or a fact."""
    match change:
        case FactRow(name):
            return name
        case ReportRow(key) | EventRow(key) | DropReport(key) | DropEvent(key):
            return str(key)
    raise LocalProtocolError(f"{change!r} is written by apply, not saved by itself")
