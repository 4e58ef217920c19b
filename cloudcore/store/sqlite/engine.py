"""The SQLite engine: the event loop's side of it.

Contract. The loop owns the committed state in memory; the writer thread owns the file. One group is under way at a
time and crosses over once in each direction. Reads never leave the loop. When the disk is full or fails, the writers
of that group get ``StorageUnavailable``; each later group tries again, so service resumes as soon as the disk does.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Self

import structlog

from cloudcore.store.engine import GroupCommitStore
from cloudcore.store.history import History
from cloudcore.store.ledger import Group
from cloudcore.store.settings import StoreSettings
from cloudcore.store.sqlite.backup import backup
from cloudcore.store.sqlite.driver import Driver, StandardDriver
from cloudcore.store.sqlite.file import Loaded, StoreFile, WriteFailed
from cloudcore.store.sqlite.thread import JobThread

log = structlog.get_logger(__name__)


class SqliteStore(GroupCommitStore):
    """A store in one SQLite file. Made by :meth:`open`."""

    def __init__(self, path: Path, file: StoreFile, thread: JobThread, history: History, loaded: Loaded) -> None:
        super().__init__(history, loaded.reserved, loaded.incarnation)
        self._path = path
        self._file = file
        self._thread = thread

    @classmethod
    async def open(
        cls, path: str | Path, settings: StoreSettings | None = None, *, driver: Driver | None = None
    ) -> Self:
        """Open the data file ``path``, made if it is not there.

        Args:
            path: The file; its folder must exist.
            settings: The bounds.
            driver: The SQLite binding; the standard library's by default.

        Raises:
            UsageError: The file is in use, damaged, of a newer version, or may not be written.
        """
        path = Path(path)
        thread = JobThread("store-writer")
        try:
            file, loaded = await thread.call(partial(_open, path, driver or StandardDriver()))
        except BaseException:
            thread.stop()
            raise
        history = History(loaded.reserved, settings or StoreSettings(), loaded.records)
        return cls(path, file, thread, history, loaded)

    async def backup(self, target: str | Path) -> None:
        """Write a consistent copy of the database to ``target`` while the store goes on.

        Raises:
            UsageError: ``target`` cannot be written.
        """
        await asyncio.to_thread(backup, self._path, Path(target))

    def _flush(self, group: Group) -> None:
        self._thread.post(partial(self._file.write, group, self._history.records), partial(self._written, group))

    def _written(self, group: Group, _: None, error: Exception | None) -> None:
        failure: str | None = None
        if isinstance(error, WriteFailed):
            failure = str(error)
            log.warning("a commit group failed", writes=len(group.writes), cause=failure)
        elif error is not None:
            failure = "the store failed"
            log.error("a commit group met a defect", exc_info=error)
        self._flushed(group, failure)

    async def _shut(self, last: Group) -> None:
        try:
            await self._thread.call(partial(self._file.write, last, self._history.records))
        except WriteFailed as exc:
            # Allowed to be lost: only volatile state is in there, and unused revisions are merely skipped.
            log.warning("volatile state was not stored at close", cause=str(exc))
        finally:
            await self._thread.call(self._file.close)
            self._thread.stop()


def _open(path: Path, driver: Driver) -> tuple[StoreFile, Loaded]:
    file = StoreFile(path, driver)
    try:
        return file, file.load()
    except BaseException:
        file.close()
        raise
