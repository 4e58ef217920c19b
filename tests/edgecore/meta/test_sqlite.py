from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgecore.meta.base import StorageUnavailable
from edgecore.meta.engine import FactRow, ObjectRow
from edgecore.meta.sqlite import SqliteEngine, read_only
from edgecore.meta.store import MetaStore
from protocol.errors import UsageError
from protocol.messages import APPLIED, LATER
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid
from tests.contracts.metaengine import Listener, MetaLab, MetaStoreContract, session
from tests.support.slices import delete, put

SECRET = "correct-horse-battery-staple" * 40


class SqliteLab(MetaLab):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def engine(self) -> SqliteEngine:
        return SqliteEngine(self.path)

    @property
    def newest(self) -> SqliteEngine:
        engine = self.opened[-1]
        assert isinstance(engine, SqliteEngine)
        return engine

    async def crash(self) -> None:
        """Leave the files as they are, without the orderly end that folds the journal in."""
        engine = self.newest
        engine._closed = True
        engine._queue.put(None)
        await asyncio.to_thread(engine._thread.join)

    def fill_disk(self) -> None:
        self.newest._connection = FullDisk(self.newest._connection)

    def free_disk(self) -> None:
        connection = self.newest._connection
        assert isinstance(connection, FullDisk)
        self.newest._connection = connection.inner


class FullDisk(sqlite3.Connection):
    """A connection whose inserts fail as on a full disk."""

    def __init__(self, inner: sqlite3.Connection | None) -> None:
        assert inner is not None
        self.inner = inner

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql.startswith(("INSERT", "DELETE")):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self.inner.execute(sql, parameters)

    @property
    def in_transaction(self) -> bool:
        return self.inner.in_transaction

    def close(self) -> None:
        self.inner.close()


class FailingFlush(FullDisk):
    """A connection whose COMMIT reports an I/O error; ``written`` says whether it was on disk all the same."""

    def __init__(self, inner: sqlite3.Connection | None, *, written: bool) -> None:
        super().__init__(inner)
        self.written = written

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return self.inner.execute(sql, parameters)
        if self.written:
            self.inner.execute(sql)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[SqliteLab]:
    lab = SqliteLab(tmp_path / "meta" / "meta.db")
    yield lab
    await lab.close()


class TestSqliteEngine(MetaStoreContract):
    @pytest.mark.parametrize("written", [True, False])
    async def test_after_a_failed_flush_memory_says_what_the_disk_says(self, lab: SqliteLab, written: bool) -> None:
        store, listener = lab.store(), Listener()
        store.subscribe(listener)
        await session(store)
        lab.newest._connection = FailingFlush(lab.newest._connection, written=written)
        assert await store.apply([put("web", 5)], 1) == [LATER]
        assert await store.apply([put("other", 6)], 1) == [APPLIED]
        expected = ["web", "other"] if written else ["other"]
        assert [held.key.name for held in store.list("pods")] == expected
        assert [change.key.name for change in listener.changes] == expected

    async def test_a_real_limit_refuses_and_then_takes_writes(self, tmp_path: Path) -> None:
        engine = SqliteEngine(tmp_path / "meta.db", size_limit_bytes=256 << 10)
        store = MetaStore(engine, NodeName("edge-1"))
        await session(store)
        for number in range(40):
            if await store.apply([put(f"big-{number}", number + 1, padding="x" * 20_000)], 1) == [LATER]:
                break
        else:
            pytest.fail("the limit was never reached")
        held = store.count
        assert await store.apply([delete("big-0")], 1) == [APPLIED]
        assert await store.apply([put("small", 1000)], 1) == [APPLIED]
        assert store.count == held
        await store.close()

    async def test_a_corrupt_database_is_set_aside_and_replaced(self, lab: SqliteLab) -> None:
        store = lab.store()
        await session(store, equal=True)
        await store.close()
        lab.path.write_bytes(b"this is not a database" * 500)
        store = lab.store()
        assert (store.count, store.complete, store.epoch) == (0, False, 0)
        (aside,) = lab.path.parent.glob("meta.db.corrupt-*")
        assert aside.read_bytes().startswith(b"this is not")
        await session(store)
        assert await store.apply([put("web", 1)], 1) == [APPLIED]

    async def test_a_damaged_page_is_noticed(self, lab: SqliteLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put(f"pod-{n}", n + 1, padding="x" * 3000) for n in range(50)], 1)
        await store.close()
        content = bytearray(lab.path.read_bytes())
        content[8192:] = b"\xee" * (len(content) - 8192)
        lab.path.write_bytes(content)
        assert lab.store().count == 0

    @pytest.mark.parametrize(
        "damage",
        [
            "UPDATE objects SET body = x'c1'",
            "UPDATE objects SET name = CAST(x'ff' AS TEXT)",
            "UPDATE facts SET value = 'x' WHERE name = 'epoch'",
            "UPDATE facts SET value = '99999999999' WHERE name = 'life'",
        ],
    )
    async def test_a_row_that_makes_no_sense_is_damage_too(self, lab: SqliteLab, damage: str) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.close()
        with closing(sqlite3.connect(lab.path)) as database, database:
            database.execute(damage)
        store = lab.store()
        assert (store.count, store.complete, store.epoch) == (0, False, 0)
        assert list(lab.path.parent.glob("meta.db.corrupt-*"))

    async def test_corruption_while_running_is_mended_from_memory(self, lab: SqliteLab) -> None:
        store = lab.store()
        await session(store, equal=True)
        await store.apply([put("web", 5)], 1)
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        connection = lab.newest._connection
        assert connection is not None
        lab.newest._failed(connection, error)
        assert await store.apply([put("other", 6)], 1) == [LATER]
        assert await store.apply([put("other", 6)], 1) == [APPLIED]
        store = await lab.restart(store)
        assert {held.key.name for held in store.list("pods")} == {"web", "other"}
        assert (store.complete, store.epoch) == (True, 1)

    async def test_only_the_newest_corrupt_files_are_kept(self, lab: SqliteLab) -> None:
        for _ in range(4):
            await lab.store().close()
            lab.path.write_bytes(b"no database" * 100)
        lab.store()
        assert len(list(lab.path.parent.glob("meta.db.corrupt-*"))) == 2

    async def test_a_secret_that_left_is_not_in_the_files(self, lab: SqliteLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("password", 1, resource="secrets", data={"p": SECRET})], 1)
        assert SECRET.encode() in b"".join(each.read_bytes() for each in lab.path.parent.iterdir())
        await store.apply([delete("password", resource="secrets")], 1)
        assert SECRET.encode() not in b"".join(each.read_bytes() for each in lab.path.parent.iterdir())

    async def test_a_secret_that_changed_is_not_in_the_files(self, lab: SqliteLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("password", 1, resource="secrets", data={"p": SECRET})], 1)
        await store.apply([put("password", 2, resource="secrets", data={"p": "new"})], 1)
        assert SECRET.encode() not in b"".join(each.read_bytes() for each in lab.path.parent.iterdir())

    async def test_nobody_else_can_read_the_files(self, lab: SqliteLab) -> None:
        store = lab.store()
        await session(store)
        assert stat.S_IMODE(lab.path.parent.stat().st_mode) == 0o700
        assert {stat.S_IMODE(each.stat().st_mode) for each in lab.path.parent.iterdir()} == {0o600}

    async def test_it_can_be_read_while_the_agent_writes_and_after(self, lab: SqliteLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        assert [row.key.name for row in read_only(lab.path).objects] == ["web"]
        await store.close()
        assert [row.key.name for row in read_only(lab.path).objects] == ["web"]

    async def test_reading_makes_no_database(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_only(tmp_path / "none.db")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_whose_tables_are_about_to_be_made_reads_as_empty(self, tmp_path: Path) -> None:
        (tmp_path / "fresh.db").touch()
        assert read_only(tmp_path / "fresh.db").objects == ()

    async def test_commits_gather_while_one_is_flushed(self, lab: SqliteLab) -> None:
        engine = lab.engine()
        with engine._lock:  # the writer thread waits here, as it would for a slow disk
            commits = [asyncio.ensure_future(engine.commit([FactRow(str(n), "x")])) for n in range(20)]
            await asyncio.sleep(0)
        await asyncio.gather(*commits)
        assert len(engine.load().facts) == 20
        await engine.close()

    async def test_one_bad_commit_fails_its_whole_group(self, lab: SqliteLab) -> None:
        engine = lab.engine()
        bad = ObjectRow(ObjectKey("pods", "d", "x"), Uid("u"), Revision(1), None, 1)  # type: ignore[arg-type]
        with engine._lock:
            commits = [
                asyncio.ensure_future(engine.commit([change])) for change in (FactRow("a", "1"), bad, FactRow("b", "2"))
            ]
            await asyncio.sleep(0)
            # One goes ahead alone or with the others, depending on when the thread looked.
        results = await asyncio.gather(*commits, return_exceptions=True)
        stored = engine.load().facts
        for name, result in zip(("a", "b"), (results[0], results[2]), strict=True):
            assert (name in stored) == (result is None)
        assert isinstance(results[1], StorageUnavailable)
        await engine.close()

    async def test_a_folder_that_cannot_be_written_is_a_usage_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match="cannot open the meta database"):
            SqliteEngine(tmp_path / "file" / "meta.db")

    async def test_the_writer_thread_ends_with_the_engine(self, lab: SqliteLab) -> None:
        engine = lab.engine()
        await engine.close()
        assert engine._thread not in threading.enumerate()
        with pytest.raises(StorageUnavailable):
            await engine.commit([FactRow("late", "1")])
