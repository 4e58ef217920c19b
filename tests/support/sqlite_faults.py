"""A SQLite binding whose commits fail on demand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

from cloudcore.store.sqlite.driver import Connection, StandardDriver


class Fault(Enum):
    """What goes wrong at a commit."""

    NOTHING_WRITTEN = "the commit fails and is not on disk"
    WRITTEN_ALL_THE_SAME = "the commit reports a failure but is on disk"


class FaultyConnection:
    def __init__(self, inner: Connection, driver: FaultyDriver) -> None:
        self._inner = inner
        self._driver = driver
        self._within = False

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterable[Any]:
        verb = sql.split(maxsplit=1)[0]
        # A writing statement outside a transaction commits by itself.
        commits = verb == "COMMIT" or (verb in {"INSERT", "DELETE", "UPDATE"} and not self._within)
        self._within = verb == "BEGIN" or (self._within and verb not in {"COMMIT", "ROLLBACK"})
        fault = self._driver.fault if commits else None
        if fault is Fault.NOTHING_WRITTEN:
            raise sqlite3.OperationalError("disk I/O error")
        rows = self._inner.execute(sql, parameters)
        if fault is Fault.WRITTEN_ALL_THE_SAME:
            raise sqlite3.OperationalError("disk I/O error")
        return rows

    def close(self) -> None:
        self._inner.close()


class FaultyDriver(StandardDriver):
    """The standard binding, with ``fault`` happening at each commit while it is set.

    Attributes:
        connections: How often a connection has been opened.
    """

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.connections = 0

    def connect(self, path: str) -> Connection:
        self.connections += 1
        return FaultyConnection(super().connect(path), self)
