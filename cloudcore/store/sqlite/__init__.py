"""The embedded engine: one SQLite file, one writer thread, group commit."""

from cloudcore.store.sqlite.backup import backup, restore
from cloudcore.store.sqlite.engine import SqliteStore

__all__ = ["SqliteStore", "backup", "restore"]
