from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edgecore.meta.schema import MIGRATIONS, open_database

NEXT = (*MIGRATIONS, ("ALTER TABLE facts ADD COLUMN note TEXT",))
BROKEN = (*MIGRATIONS, ("CREATE TABLE extra (x)", "CREATE TABLE facts (y)"))


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version
    finally:
        connection.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "meta.db"
    connection, _ = open_database(path)
    connection.execute("INSERT INTO facts VALUES ('epoch', '7')")
    connection.close()
    return path


def test_a_migration_keeps_the_rows_and_a_copy_of_the_file_before(database: Path) -> None:
    connection, aside = open_database(database, NEXT)
    assert connection.execute("SELECT * FROM facts").fetchall() == [("epoch", "7", None)]
    connection.close()
    assert aside is None
    copy = database.with_name("meta.db.v1")
    assert version_of(copy) == 1
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_migration_that_fails_changes_nothing(database: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        open_database(database, BROKEN)
    assert version_of(database) == 1
    connection, _ = open_database(database)
    assert connection.execute("SELECT name FROM sqlite_master WHERE name='extra'").fetchall() == []
    connection.close()


def test_every_flush_reaches_the_disk_and_what_is_deleted_is_overwritten(database: Path) -> None:
    connection, _ = open_database(database)
    pragmas = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1
    connection.close()
