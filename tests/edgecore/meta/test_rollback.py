from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edgecore.meta import rollback
from edgecore.meta.schema import MIGRATIONS, open_database
from edgecore.meta.sqlite import SqliteEngine, read_only
from protocol.errors import UsageError

NEWER = (*MIGRATIONS, ("ALTER TABLE facts ADD COLUMN note TEXT", "CREATE TABLE more (x)"))
CHANGED = (*NEWER, ("ALTER TABLE reports RENAME COLUMN owed TO debt",))
EVENT = ("events", "default", "e", 1, b"\x80")


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database of this agent's, which knows an epoch and has been in step with the cloud."""
    path = tmp_path / "meta.db"
    connection, _ = open_database(path)
    connection.execute("INSERT INTO facts VALUES ('epoch', '7'), ('complete', 'yes')")
    connection.close()
    return path


def upgrade(path: Path, migrations: tuple[tuple[str, ...], ...]) -> None:
    """Have a newer agent use the database: it learns of another epoch and owes an event."""
    connection, _ = open_database(path, migrations)
    connection.execute("UPDATE facts SET value='9' WHERE name='epoch'")
    connection.execute("INSERT INTO events VALUES (?,?,?,?,?)", EVENT)
    connection.close()


def facts_of(path: Path) -> dict[str, str]:
    return dict(read_only(path).facts)


def test_an_older_agent_takes_over_what_a_newer_one_has_stored(database: Path) -> None:
    upgrade(database, NEWER)
    engine = SqliteEngine(database)
    found = engine.load()
    assert (dict(found.facts), len(found.events)) == ({"epoch": "9", "complete": "yes"}, 1)
    assert version_of(database) == len(MIGRATIONS)
    assert version_of(rollback.copy_at(database, len(NEWER))) == len(NEWER)


def test_the_newer_agent_may_come_back(database: Path) -> None:
    upgrade(database, NEWER)
    open_database(database)[0].close()
    connection, aside = open_database(database, NEWER)
    assert connection.execute("SELECT value FROM facts WHERE name='epoch'").fetchall() == [("9",)]
    connection.close()
    assert aside is None


def test_where_columns_are_gone_the_copy_is_put_back_and_nothing_counts_as_unwanted(database: Path) -> None:
    upgrade(database, CHANGED)
    open_database(database)[0].close()
    assert facts_of(database) == {"epoch": "7"}
    assert version_of(database) == len(MIGRATIONS)


def test_without_that_copy_the_file_is_left_alone(database: Path) -> None:
    upgrade(database, CHANGED)
    rollback.copy_at(database, len(MIGRATIONS)).unlink()
    before = database.read_bytes()
    with pytest.raises(UsageError, match=r"schema version 3.*meta\.db\.v1 is not there: run the newer version"):
        open_database(database)
    assert database.read_bytes() == before
    assert not list(database.parent.glob("*.back*"))


def test_a_crash_half_way_leaves_the_newer_file(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade(database, NEWER)

    def crash(path: Path) -> None:
        raise OSError(5, "no power")

    with monkeypatch.context() as patched:
        patched.setattr(rollback, "sync", crash)
        with pytest.raises(UsageError, match="no power"):
            open_database(database)
    assert version_of(database) == len(NEWER)
    open_database(database)[0].close()
    assert facts_of(database)["epoch"] == "9"


def test_what_is_kept_is_readable_by_its_owner_alone(database: Path) -> None:
    upgrade(database, NEWER)
    open_database(database)[0].close()
    assert {path.stat().st_mode & 0o777 for path in database.parent.iterdir()} == {0o600}
