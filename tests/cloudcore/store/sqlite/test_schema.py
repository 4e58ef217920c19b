from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cloudcore.store.sqlite import SqliteStore, schema
from cloudcore.store.sqlite.schema import MIGRATIONS, Step, migrate
from protocol.errors import UsageError
from protocol.objects.keys import Uid
from tests.contracts.store import POD, tail


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def add_column() -> Step:
    return (("ALTER TABLE objects ADD COLUMN origin TEXT NOT NULL DEFAULT 'cloud'", ()),)


def broken_step() -> Step:
    return (("CREATE TABLE extra (x)", ()), ("INSERT INTO missing VALUES (1)", ()))


async def a_database(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.create(POD, tail(), uid=Uid("u1"))
    await store.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def version(path: Path) -> int:
    connection = connect(path)
    ((number,),) = connection.execute("PRAGMA user_version")
    connection.close()
    return int(number)


async def test_a_new_database_has_the_newest_version_and_no_copy(tmp_path: Path) -> None:
    await a_database(tmp_path / "a.db")
    assert version(tmp_path / "a.db") == len(MIGRATIONS)
    assert names(tmp_path) == ["a.db", "a.db.lock"]


async def test_an_upgrade_keeps_the_objects_and_a_copy_to_roll_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    await a_database(path)
    with monkeypatch.context() as newer:
        newer.setattr(schema, "MIGRATIONS", (*MIGRATIONS, add_column))
        connection = connect(path)
        migrate(connection, path)
        assert connection.execute("SELECT name, origin FROM objects").fetchall() == [("web", "cloud")]
        connection.close()
    assert version(path) == len(MIGRATIONS) + 1
    copy = tmp_path / f"a.db.schema-{len(MIGRATIONS)}"
    store = await SqliteStore.open(copy)
    assert (await store.get(POD)).uid == "u1"
    await store.close()


async def test_a_failed_upgrade_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    await a_database(path)
    with monkeypatch.context() as newer:
        newer.setattr(schema, "MIGRATIONS", (*MIGRATIONS, broken_step))
        with pytest.raises(UsageError, match="missing"):
            await SqliteStore.open(path)
    assert version(path) == len(MIGRATIONS)
    store = await SqliteStore.open(path)
    assert (await store.get(POD)).uid == "u1"
    await store.close()


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await a_database(path)
    connection = connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UsageError, match=r"schema version 99.*use a newer cloudcore"):
        await SqliteStore.open(path)


@pytest.mark.parametrize("mark", ["PRAGMA user_version = 1", "PRAGMA application_id = 7", "CREATE TABLE t (x)"])
async def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "a.db"
    connection = connect(path)
    connection.execute(mark)
    connection.close()
    with pytest.raises(UsageError, match="not a cloudcore database"):
        await SqliteStore.open(path)
    connection = connect(path)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'objects'").fetchall() == [(0,)]
    connection.close()
