"""Twins and the log of reports on disk: ``twins/twins.db`` in the data folder.

The log is a ring: of the newest reports so many are kept, and what the cloud has not taken by then is dropped, the
oldest first, and counted. SQLite in WAL mode with ``synchronous=FULL``: what :meth:`TwinStore.commit` has returned from
is on disk. All methods block.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import structlog

from edgecore.meta.base import StorageUnavailable
from edgecore.meta.schema import is_corruption
from edgecore.twin.book import DeviceName, Draft
from edgecore.twin.model import Conflict, Property, State, Twin, Value, Version
from protocol.errors import UsageError
from protocol.files import make_private_folder
from protocol.objects.devices import Report
from protocol.objects.keys import Uid

log = structlog.get_logger("edgecore.twin")

REPORTS_KEPT: Final = 100_000
"""Reports in the ring, about 8 MB."""

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS twins (namespace TEXT, name TEXT, body TEXT NOT NULL, "
    "PRIMARY KEY (namespace, name)) STRICT",
    "CREATE TABLE IF NOT EXISTS reports (number INTEGER PRIMARY KEY, namespace TEXT NOT NULL, device TEXT NOT NULL, "
    "property TEXT NOT NULL, value TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
)


class TwinStore:
    """Keeps twins and reports.

    Args:
        path: The database file; its folder is made with mode 0700. One that cannot be read is set aside: the cloud
            knows what is desired, and devices report anew.
        reports_kept: Size of the ring.

    Raises:
        UsageError: The file is not ours to write.

    Attributes:
        dropped: Reports dropped before the cloud had taken them, ever.
        sent: The number of the newest report that the cloud has taken.
        last: The number of the newest report.
        origin: Tells this file's numbers from those of another that was there before it.
    """

    def __init__(self, path: Path, *, reports_kept: int = REPORTS_KEPT) -> None:
        self._path = path
        self._kept = reports_kept
        make_private_folder(path.parent)
        try:
            self._connection = self._open()
            counts = dict(self._connection.execute("SELECT name, value FROM counts"))
        except sqlite3.DatabaseError as error:
            if not is_corruption(error):
                raise UsageError(f"cannot open {path}: {error}") from error
            aside = path.with_suffix(".corrupt")
            log.error("twins cannot be read, and start anew", cause=str(error), kept_in=str(aside))
            path.replace(aside)
            for journal in (f"{path}-wal", f"{path}-shm"):
                Path(journal).unlink(missing_ok=True)
            self._connection = self._open()
            counts = {}
        self.dropped: int = counts.get("dropped", 0)
        self.sent: int = counts.get("sent", 0)
        self.last: int = counts.get("last", 0)
        self.origin: int = counts.get("origin", 0) or self._begin()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "cache_size=-1024"):
            connection.execute(f"PRAGMA {pragma}")
        for statement in _SCHEMA:
            connection.execute(statement)
        return connection

    def _begin(self) -> int:
        origin = secrets.randbits(62) | 1
        self._count(origin=origin)
        return origin

    def load(self) -> dict[DeviceName, Twin]:
        """Return the twins; one that makes no sense is left out."""
        return dict(_twins(self._connection))

    def commit(self, draft: Draft) -> None:
        """Write a draft, all of it or nothing.

        Raises:
            StorageUnavailable: The disk does not take it.
        """
        last = self.last + len(draft.reports)
        floor = last - self._kept
        dropped = self.dropped + max(0, floor - max(self.sent, self.last - self._kept, 0))
        rows = (
            (self.last + i, each.device.namespace, each.device.name, each.property, each.text, each.at_ms)
            for i, each in enumerate(draft.reports, 1)
        )
        with _Transaction(self._connection) as execute:
            for name, device in draft.overlay.items():
                if device is None:
                    execute("DELETE FROM twins WHERE namespace=? AND name=?", name)
                else:
                    execute("INSERT OR REPLACE INTO twins VALUES (?,?,?)", (*name, encode_twin(device.twin)))
            if draft.reports:
                self._connection.executemany("INSERT INTO reports VALUES (?,?,?,?,?,?)", rows)
                execute("DELETE FROM reports WHERE number <= ?", (floor,))
                self._count(last=last, dropped=dropped)
        self.last, self.dropped = last, dropped

    def unsent(self, limit: int) -> list[Report]:
        """Return the oldest reports that the cloud has not taken, at most ``limit``."""
        rows = self._connection.execute(
            "SELECT namespace, device, property, value, at_ms, number FROM reports WHERE number > ? "
            "ORDER BY number LIMIT ?",
            (self.sent, limit),
        )
        return [Report(*row) for row in rows]

    def taken(self, number: int) -> None:
        """Take note that the cloud has the reports up to ``number``.

        Raises:
            StorageUnavailable: The disk does not take it.
        """
        with _Transaction(self._connection):
            self._count(sent=number)
        self.sent = number

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _count(self, **values: int) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO counts VALUES (?,?)", values.items())


class _Transaction:
    """One atomic write.

    Raises:
        StorageUnavailable: The disk does not take it; nothing of it is stored.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Any:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise StorageUnavailable(str(error)) from error
        return self._connection.execute

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if error is None:
                self._connection.execute("COMMIT")
        except sqlite3.Error as failure:
            error = failure
        if error is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise StorageUnavailable(f"the disk does not take twins: {error}") from error


def read_history(path: Path, device: DeviceName, limit: int) -> list[Report]:
    """Return the newest reports of a device, oldest first, while the agent runs or not.

    Raises:
        FileNotFoundError: There is no file.
        sqlite3.Error: It cannot be read.
    """
    connection = _read_only(path)
    try:
        rows: Sequence[Any] = connection.execute(
            "SELECT namespace, device, property, value, at_ms, number FROM reports WHERE namespace=? AND device=? "
            "ORDER BY number DESC LIMIT ?",
            (*device, limit),
        ).fetchall()
    finally:
        connection.close()
    return [Report(*row) for row in reversed(rows)]


def read_twins(path: Path) -> tuple[dict[DeviceName, Twin], dict[str, int]]:
    """Return the twins, and the counts of reports (``last``, ``sent``, ``dropped``).

    Raises:
        FileNotFoundError: There is no file.
        sqlite3.Error: It cannot be read.
    """
    connection = _read_only(path)
    try:
        return dict(_twins(connection)), dict(connection.execute("SELECT name, value FROM counts").fetchall())
    finally:
        connection.close()


def _read_only(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise FileNotFoundError(path)
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)


def _twins(connection: sqlite3.Connection) -> Iterator[tuple[DeviceName, Twin]]:
    for namespace, name, body in connection.execute("SELECT namespace, name, body FROM twins"):
        try:
            yield DeviceName(namespace, name), decode_twin(body)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.error("a twin cannot be read, and starts anew", namespace=namespace, name=name, cause=str(error))


def encode_twin(twin: Twin) -> str:
    """Return a twin as text."""
    return json.dumps(asdict(twin), separators=(",", ":"))


def decode_twin(text: str) -> Twin:
    """Return the twin that ``text`` is.

    Raises:
        ValueError: It is none; also TypeError, KeyError, AttributeError.
    """
    row = json.loads(text)
    return Twin(
        Uid(row["uid"]),
        {name: _property(each) for name, each in row["properties"].items()},
        State(row["state"]),
        row["last_online_ms"],
        _conflicts(row["conflicts"]),
        row["conflicts_forgotten"],
    )


def _conflicts(rows: Iterable[dict[str, Any]]) -> tuple[Conflict, ...]:
    return tuple(Conflict(**each) for each in rows)


def _property(row: dict[str, Any]) -> Property:
    return Property(
        **{
            **row,
            "expected": Value(**row["expected"]) if row["expected"] else None,
            "actual": Value(**row["actual"]) if row["actual"] else None,
            "expected_version": Version(**row["expected_version"]),
            "actual_version": Version(**row["actual_version"]),
        }
    )
