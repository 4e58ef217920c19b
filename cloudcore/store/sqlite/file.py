"""The data file, used by one thread at a time: open, read all, write a group, recover after an I/O error.

Contract. Every call blocks and belongs to the writer thread. After a failed write the state on disk is unknown (the
kernel may forget a page whose sync failed), so the next write first opens the file anew, reads what is there, and
makes it equal to the committed state in memory; only then does it write.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from sys import intern

from cloudcore.store.base import Record
from cloudcore.store.ledger import Group
from cloudcore.store.sqlite import schema
from cloudcore.store.sqlite.driver import Connection, Driver
from cloudcore.store.sqlite.lock import lock_database
from cloudcore.store.sqlite.statements import Row, statements
from protocol.errors import AiokubeedgeError, UsageError
from protocol.objects.keys import ObjectKey, Revision, Uid

SYNCHRONOUS = "FULL"
"""SQLite syncs the log at each commit. Anything less loses acknowledged writes in a power cut; a test shows it."""

_WAL_LIMIT_BYTES = 64 << 20


class WriteFailed(AiokubeedgeError):
    """A group is not on disk."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the file held when it was opened."""

    records: Sequence[Record]
    reserved: Revision
    incarnation: str


class StoreFile:
    """An open data file.

    Args:
        path: The file; made if it is not there, readable by its owner only.
        driver: The SQLite binding.

    Raises:
        UsageError: The file cannot be used: locked, damaged, of a newer version, no permission.
    """

    def __init__(self, path: Path, driver: Driver) -> None:
        self._path = path
        self._driver = driver
        self._suspect = False
        self._begun = False
        self._ids: dict[ObjectKey, int] = {}
        self._next_id = 1
        self._lock = lock_database(path)
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise

    def load(self) -> Loaded:
        """Read everything."""
        meta = dict(self._connection.execute("SELECT key, value FROM meta"))
        return Loaded(list(self._read()), Revision(meta["reserved"]), meta["incarnation"])

    def write(self, group: Group, committed: Callable[[], Iterable[Record]]) -> None:
        """Put ``group`` on disk in one transaction and sync it.

        Args:
            group: What to write.
            committed: Returns the committed records, without the group; used to recover.

        Raises:
            WriteFailed: It is not on disk, or will be taken off again before the next group.
        """
        was_suspect, self._suspect = self._suspect, True
        try:
            if was_suspect:
                self._recover(committed())
            self._transact(group.puts.values(), group.deletes, group.reserve_to)
        except self._driver.error as exc:
            full = self._driver.is_full(exc)
            # A full disk leaves a sound connection behind, if the transaction can be undone.
            self._suspect = not self._roll_back() or was_suspect or not full
            what = "the disk is full" if full else f"the disk failed ({exc})"
            raise WriteFailed(f"{what}; nothing was stored") from exc
        self._suspect = False

    def close(self) -> None:
        """Close the file; SQLite folds its log into it."""
        self._connection.close()
        self._lock.release()

    def _open(self) -> Connection:
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with ExitStack() as undo:
                connection = self._driver.connect(str(self._path))
                undo.callback(connection.close)
                self._configure(connection)
                schema.migrate(connection, self._path)
                self._check_integrity(connection)
                undo.pop_all()
        except OSError as exc:
            raise UsageError(f"cannot open {self._path}: {exc.strerror}") from exc
        except self._driver.error as exc:
            raise UsageError(f"cannot open {self._path}: {exc}; if it is damaged, restore a backup") from exc
        return connection

    @staticmethod
    def _configure(connection: Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")

    def _check_integrity(self, connection: Connection) -> None:
        ((verdict,),) = connection.execute("PRAGMA quick_check(1)")
        if verdict != "ok":
            raise UsageError(f"{self._path} is damaged ({verdict}); restore a backup with `cloudcore restore`")

    def _read(self) -> Iterator[Record]:
        self._ids.clear()
        self._next_id = 1
        rows = self._connection.execute(
            "SELECT id, resource, namespace, name, uid, revision, content_revision, tail FROM objects ORDER BY id"
        )
        for id_, resource, namespace, name, uid, revision, content_revision, tail in rows:
            key = ObjectKey(intern(resource), intern(namespace), name)
            if key in self._ids:
                raise UsageError(f"{self._path} is damaged: {key} is there twice; restore a backup")
            self._ids[key] = id_
            self._next_id = id_ + 1
            yield Record(key, Uid(uid), Revision(revision), Revision(content_revision), tail)

    def _transact(
        self, puts: Iterable[Record], deletes: Iterable[ObjectKey], reserve_to: Revision | None = None
    ) -> None:
        removed = [self._ids[key] for key in deletes if key in self._ids]
        added: dict[ObjectKey, int] = {}
        todo = statements([self._row(record, added) for record in puts], removed, reserve_to)
        execute = self._connection.execute
        if len(todo) == 1:
            execute(*todo[0])
        else:
            execute("BEGIN IMMEDIATE")
            self._begun = True
            for statement in todo:
                execute(*statement)
            execute("COMMIT")
            self._begun = False
        self._ids.update(added)
        for key in deletes:
            self._ids.pop(key, None)

    def _row(self, record: Record, added: dict[ObjectKey, int]) -> Row:
        key = record.key
        id_ = self._ids.get(key)
        if id_ is None:
            id_ = added[key] = self._next_id
            self._next_id += 1
        return (id_, *key, record.uid, record.revision, record.content_revision, record.tail)

    def _roll_back(self) -> bool:
        begun, self._begun = self._begun, False
        try:
            if begun:
                self._connection.execute("ROLLBACK")
        except self._driver.error:
            # No transaction is left, or the connection is broken. Either way it is opened anew.
            return False
        return True

    def _recover(self, committed: Iterable[Record]) -> None:
        self._begun = False
        self._connection.close()
        self._connection = self._driver.connect(str(self._path))
        self._configure(self._connection)
        # Moves the log into the file and syncs both: what is read from here on does not rest on unsynced pages.
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        on_disk = {record.key: record for record in self._read()}
        wanted = {record.key: record for record in committed}
        puts = [record for key, record in wanted.items() if on_disk.get(key) != record]
        deletes = [key for key in on_disk if key not in wanted]
        if puts or deletes:
            self._transact(puts, deletes)
