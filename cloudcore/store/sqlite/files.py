"""Database files as files: copying one in a consistent state, making renames durable."""

from __future__ import annotations

import os
from pathlib import Path

from cloudcore.store.sqlite.driver import Connection

COMPANIONS = ("-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database."""


def copy_database(connection: Connection, target: Path) -> None:
    """Write the committed state behind ``connection`` to ``target``, whole and synced, or leave ``target`` alone."""
    partial = Path(f"{target}.partial")
    partial.unlink(missing_ok=True)
    try:
        connection.execute("VACUUM INTO ?", (str(partial),))
        partial.chmod(0o600)
        sync(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    sync(target.parent)


def sync(path: Path) -> None:
    """Have the kernel put ``path`` (a file, or a folder's entries) on disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
