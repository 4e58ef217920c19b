"""The seam between the engine and the SQLite binding, so that tests can run the engine over a faulty disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Connection(Protocol):
    """What the engine needs of a connection. Transactions are begun and ended by statements."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Iterable[Any]:
        """Run one statement and return its rows."""

    def close(self) -> None:
        """Close the connection."""


class Driver(Protocol):
    """A SQLite binding.

    Attributes:
        error: The base class of the exceptions that its connections raise.
    """

    error: type[Exception]

    def connect(self, path: str) -> Connection:
        """Open the database file ``path`` in autocommit mode."""

    def is_full(self, exc: Exception) -> bool:
        """Whether ``exc`` says that the disk (or the database's size limit) is full."""


class StandardDriver:
    """The standard library's ``sqlite3``."""

    error: type[Exception] = sqlite3.Error

    def connect(self, path: str) -> Connection:
        """Open ``path`` for use on the calling thread, in autocommit mode."""
        return sqlite3.connect(path, isolation_level=None, timeout=5.0)

    def is_full(self, exc: Exception) -> bool:
        """Whether ``exc`` is SQLITE_FULL."""
        return isinstance(exc, sqlite3.Error) and getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
