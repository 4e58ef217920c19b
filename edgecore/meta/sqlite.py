"""The engine on a device: SQLite in WAL mode with ``synchronous=FULL``.

One writer thread owns every write. Commits asked for while a group is being flushed gather in the queue and form
the next group: one ``fsync`` for all of them. The queue needs no bound of its own: each caller awaits its commit,
and the callers are few (the link's apply, and one report per object). Results go back to the loop in commit order.

After a flush that failed with anything but a full disk it is unknown what the file holds: the group's error is
``uncertain`` and the owner loads again before it goes on.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgecore.meta.base import StorageUnavailable
from edgecore.meta.engine import (
    Change,
    DropEvent,
    DropObject,
    DropReport,
    DropSettled,
    EventRow,
    FactRow,
    ObjectRow,
    ReportRow,
    SettledRow,
    Snapshot,
)
from edgecore.meta.schema import corruption, is_corruption, open_database, set_aside
from edgecore.meta.soundness import unsound
from protocol.objects.keys import ObjectKey, Revision, Uid
from protocol.objects.resources import SECRETS

GROUP_LIMIT = 256
"""Commits in one group at most; what is beyond waits for the next."""


@dataclass(frozen=True, slots=True)
class _Commit:
    changes: Sequence[Change]
    done: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class SqliteEngine:
    """Rows in a SQLite file.

    Args:
        path: The database file; its folder is made with mode 0700 where it is missing.
        size_limit_bytes: Refuse to grow beyond this, as if the disk were full; None for no limit.

    Raises:
        UsageError: The file cannot be opened or written.
    """

    def __init__(self, path: Path, *, size_limit_bytes: int | None = None) -> None:
        self._path = path
        self._size_limit = size_limit_bytes
        self._lock = threading.Lock()
        self._scrub_due = False
        self._connection: sqlite3.Connection | None = None
        self._rebuilt = False
        self._open()
        self._queue: queue.SimpleQueue[_Commit | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="meta-writer", daemon=True)
        self._thread.start()

    def _open(self) -> sqlite3.Connection:
        connection, aside = open_database(self._path)
        self._rebuilt = self._rebuilt or aside is not None
        if self._size_limit is not None:
            page_size = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={max(1, self._size_limit // page_size)}")
        self._connection = connection
        return connection

    def load(self) -> Snapshot:
        """Return what is stored, from a file opened and checked anew after an uncertain failure."""
        with self._lock:
            connection = self._connection or self._open()
            try:
                snapshot = _read(connection)
            except sqlite3.DatabaseError as error:
                if not is_corruption(error):
                    raise
                self._abandon(connection, str(error))
                snapshot = _read(self._open())
            rebuilt, self._rebuilt = self._rebuilt, False
            return replace(snapshot, rebuilt=rebuilt)

    def _abandon(self, connection: sqlite3.Connection, reason: str) -> None:
        connection.close()
        self._connection = None
        set_aside(self._path, reason)
        self._rebuilt = True

    async def commit(self, changes: Sequence[Change]) -> None:
        """Store ``changes`` with the group that is gathering; returns after the flush."""
        if self._closed:
            raise StorageUnavailable("the meta store is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.put(_Commit(changes, done, loop))
        await done

    async def close(self) -> None:
        """Commit what is queued, fold the journal into the file and close it."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group, ended = self._gather(first)
            self._settle(group, self._flush(group))
            if ended:
                return

    def _gather(self, first: _Commit) -> tuple[list[_Commit], bool]:
        group = [first]
        while len(group) < GROUP_LIMIT:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                return group, False
            if following is None:
                return group, True
            group.append(following)
        return group, False

    def _flush(self, group: Sequence[_Commit]) -> StorageUnavailable | None:
        with self._lock:
            connection = self._connection
            if connection is None:
                return StorageUnavailable("the meta database failed and has not been read again", uncertain=True)
            try:
                connection.execute("BEGIN IMMEDIATE")
                for commit in group:
                    for change in commit.changes:
                        _write(connection, change)
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                return self._failed(connection, error)
            self._scrub_due = self._scrub_due or any(map(_touches_secret, group))
            if self._scrub_due:
                self._scrub(connection)
            return None

    def _failed(self, connection: sqlite3.Connection, error: sqlite3.Error) -> StorageUnavailable:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return StorageUnavailable("the disk is full")
        connection.close()
        self._connection = None
        if is_corruption(error):
            set_aside(self._path, str(error))
            self._rebuilt = True
        return StorageUnavailable(f"the meta database failed: {error}", uncertain=True)

    def _scrub(self, connection: sqlite3.Connection) -> None:
        """Empty the journal, which still holds the pages a Secret was on; a reader can delay that to a later try."""
        try:
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error:
            busy = 1
        self._scrub_due = bool(busy)

    def _settle(self, group: Sequence[_Commit], failure: StorageUnavailable | None) -> None:
        def tell() -> None:
            for commit in group:
                if commit.done.done():
                    continue
                if failure is None:
                    commit.done.set_result(None)
                else:
                    commit.done.set_exception(failure)

        try:
            group[0].loop.call_soon_threadsafe(tell)
        except RuntimeError:
            return  # The loop has ended: nobody waits for the answer any more.


def _touches_secret(commit: _Commit) -> bool:
    return any(isinstance(each, ObjectRow | DropObject) and each.key.resource == SECRETS for each in commit.changes)


def _write(connection: sqlite3.Connection, change: Change) -> None:
    execute = connection.execute
    match change:
        case ObjectRow(key, uid, version, body, line):
            execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?,?,?)", (*key, uid, version, body, line))
        case DropObject(key):
            execute("DELETE FROM objects WHERE resource=? AND namespace=? AND name=?", key)
        case ReportRow(key, uid, generation, body, owed):
            execute("INSERT OR REPLACE INTO reports VALUES (?,?,?,?,?,?,?)", (*key, uid, generation, body, owed))
        case DropReport(key):
            execute("DELETE FROM reports WHERE resource=? AND namespace=? AND name=?", key)
        case EventRow(key, generation, body):
            execute("INSERT OR REPLACE INTO events VALUES (?,?,?,?,?)", (*key, generation, body))
        case DropEvent(key):
            execute("DELETE FROM events WHERE resource=? AND namespace=? AND name=?", key)
        case SettledRow(id_, code, reason):
            execute("INSERT OR REPLACE INTO settled (id, code, reason) VALUES (?,?,?)", (id_, code, reason))
        case DropSettled(id_):
            execute("DELETE FROM settled WHERE id=?", (id_,))
        case FactRow(name, value):
            execute("INSERT OR REPLACE INTO facts VALUES (?,?)", (name, value))


def _read(connection: sqlite3.Connection) -> Snapshot:
    """Return what is stored.

    Raises:
        DatabaseError: It cannot be read; as corruption where what stands in it makes no sense.
    """
    try:
        snapshot = _rows(connection)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) is not None:
            raise
        raise corruption(str(error)) from error  # text that is no UTF-8: SQLite itself does not mind
    except UnicodeDecodeError as error:
        raise corruption(f"a name that is no UTF-8: {error}") from error
    fault = unsound(snapshot)
    if fault is not None:
        raise corruption(fault)
    return snapshot


def _rows(connection: sqlite3.Connection) -> Snapshot:
    rows = connection.execute
    return Snapshot(
        tuple(
            ObjectRow(ObjectKey(*key), Uid(uid), Revision(version), body, line)
            for *key, uid, version, body, line in rows(
                "SELECT resource, namespace, name, uid, version, body, line FROM objects"
            )
        ),
        tuple(
            ReportRow(ObjectKey(*key), Uid(uid), generation, body, bool(owed))
            for *key, uid, generation, body, owed in rows(
                "SELECT resource, namespace, name, uid, generation, body, owed FROM reports ORDER BY generation"
            )
        ),
        tuple(
            EventRow(ObjectKey(*key), generation, body)
            for *key, generation, body in rows(
                "SELECT resource, namespace, name, generation, body FROM events ORDER BY generation"
            )
        ),
        tuple(SettledRow(*row) for row in rows("SELECT id, code, reason FROM settled ORDER BY seq")),
        dict(rows("SELECT name, value FROM facts").fetchall()),
    )


def read_only(path: Path) -> Snapshot:
    """Return what the database at ``path`` holds, while its agent runs or not; nothing is written.

    Raises:
        FileNotFoundError: There is none.
        sqlite3.Error: It cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout=2000")
        connection.execute("BEGIN")  # one consistent view over all tables
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            return Snapshot()  # The agent has made the file and is about to make the tables.
        return _read(connection)
    finally:
        connection.close()
