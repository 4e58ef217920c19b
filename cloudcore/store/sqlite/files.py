"""Database files as files: copying one in a consistent state."""

from __future__ import annotations

from pathlib import Path

from cloudcore.store.sqlite.driver import Connection
from protocol.files import PRIVATE, sync

COMPANIONS = ("-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database."""


def copy_database(connection: Connection, target: Path) -> None:
    """Write the committed state behind ``connection`` to ``target``, whole and synced, or leave ``target`` alone."""
    partial = Path(f"{target}.partial")
    partial.unlink(missing_ok=True)
    try:
        connection.execute("VACUUM INTO ?", (str(partial),))
        partial.chmod(PRIVATE)
        sync(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    sync(target.parent)
