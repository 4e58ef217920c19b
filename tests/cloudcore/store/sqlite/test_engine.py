from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cloudcore.errors import NotFound, StorageUnavailable
from cloudcore.store.base import Store
from cloudcore.store.sqlite import SqliteStore
from cloudcore.store.sqlite.driver import Connection, StandardDriver
from protocol.errors import UsageError
from protocol.objects.keys import ObjectKey, Uid
from tests.contracts.store import POD, PODS, StoreContract, StoreLab, outcomes, tail
from tests.support.sqlite_faults import Fault, FaultyDriver


@dataclass
class SqliteLab(StoreLab):
    folder: Path = field(kw_only=True)
    fault: Fault = Fault.NOTHING_WRITTEN
    driver: FaultyDriver = field(default_factory=FaultyDriver)
    lives: int = 0

    @property
    def path(self) -> Path:
        return self.folder / f"life-{self.lives}.db"

    async def open(self) -> Store:
        return await SqliteStore.open(self.path, self.settings, driver=self.driver)

    async def reopen(self, store: Store) -> Store:
        await store.close()
        return await self.open()

    async def crash(self, store: Store) -> Store:
        # What a killed process leaves behind: the files as they are while the store is still open.
        before = self.path
        self.lives += 1
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{before}{suffix}", f"{self.path}{suffix}")
        await store.close()
        return await self.open()

    def break_disk(self) -> None:
        self.driver.fault = self.fault

    def mend_disk(self) -> None:
        self.driver.fault = None


@pytest.fixture
def lab(tmp_path: Path) -> SqliteLab:
    return SqliteLab(folder=tmp_path)


class TestSqliteStore(StoreContract):
    @pytest.fixture(params=list(Fault), ids=lambda fault: fault.name.lower())
    def lab(self, tmp_path: Path, request: pytest.FixtureRequest) -> SqliteLab:
        return SqliteLab(folder=tmp_path, fault=request.param)


async def test_a_failed_commit_that_reached_the_disk_is_taken_off_again(lab: SqliteLab) -> None:
    lab.fault = Fault.WRITTEN_ALL_THE_SAME
    store = await lab.open()
    kept = await store.create(POD, tail(), uid=Uid("u1"))
    lab.break_disk()
    other = ObjectKey(PODS, "default", "other")
    results = await outcomes(store.delete(POD), store.create(other, tail("other"), uid=Uid("u2")))
    assert [type(result) for result in results] == [StorageUnavailable] * 2
    lab.mend_disk()
    opened = lab.driver.connections
    node = await store.create(ObjectKey("nodes", "", "n"), tail("n"), uid=Uid("u3"))
    assert lab.driver.connections == opened + 1
    store = await lab.crash(store)
    assert (await store.list(PODS)).records == [kept]
    assert (await store.list("nodes")).records == [node]
    await store.close()


class SmallDisk(StandardDriver):
    """Databases that may not grow beyond ``pages``."""

    def __init__(self) -> None:
        self.pages = 1 << 20
        self.connection: Connection | None = None

    def connect(self, path: str) -> Connection:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute(f"PRAGMA max_page_count = {self.pages}")
        return self.connection

    def resize(self, pages: int) -> None:
        self.pages = pages
        assert self.connection is not None
        self.connection.execute(f"PRAGMA max_page_count = {pages}")


async def test_a_full_disk_refuses_writes_and_service_resumes_when_there_is_room(tmp_path: Path) -> None:
    disk = SmallDisk()
    store = await SqliteStore.open(tmp_path / "a.db", driver=disk)
    disk.resize(16)
    big = tail(data="x" * 100_000)
    with pytest.raises(StorageUnavailable, match="the disk is full") as refused:
        await store.create(POD, big, uid=Uid("u1"))
    assert refused.value.retry_after_s == 1
    with pytest.raises(NotFound):
        await store.get(POD)
    small = ObjectKey(PODS, "default", "small")
    await store.create(small, tail("small"), uid=Uid("u2"))
    disk.resize(1 << 20)
    await store.create(POD, big, uid=Uid("u1"))
    await store.close()
    store = await SqliteStore.open(tmp_path / "a.db")
    assert [record.uid for record in (await store.list(PODS)).records] == ["u2", "u1"]
    await store.close()


async def test_two_stores_on_one_file_are_refused_with_one_line(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "a.db")
    with pytest.raises(UsageError, match="in use by another cloudcore") as refused:
        await SqliteStore.open(tmp_path / "a.db")
    assert "\n" not in str(refused.value)
    await store.close()
    await (await SqliteStore.open(tmp_path / "a.db")).close()


async def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "a.db")
    await store.create(POD, tail(), uid=Uid("u1"))
    for name in ("a.db", "a.db-wal"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    await store.close()


async def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        await SqliteStore.open(tmp_path / "missing" / "a.db")


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"kubectl get pods\n" * 1000)
    with pytest.raises(UsageError, match="not a database"):
        await SqliteStore.open(path)
    assert path.read_bytes() == b"kubectl get pods\n" * 1000


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = await SqliteStore.open(path)
    for i in range(50):
        await store.create(ObjectKey(PODS, "d", str(i)), tail(str(i), a="x" * 500), uid=Uid(str(i)))
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 4] = b"\xa5" * 8192
    path.write_bytes(content)
    with pytest.raises(UsageError, match="damaged"):
        await SqliteStore.open(path)


async def test_a_large_group_is_stored_whole(lab: SqliteLab) -> None:
    store = await lab.open()
    keys = [ObjectKey(PODS, "d", f"{i:04d}") for i in range(1_003)]
    await asyncio.gather(*(store.create(key, tail(key.name), uid=Uid(key.name)) for key in keys))
    await asyncio.gather(*(store.delete(key) for key in keys[::3]))
    expected = (await store.list(PODS)).records
    store = await lab.crash(store)
    assert (await store.list(PODS)).records == expected
    assert len(expected) == 668
    await store.close()


async def test_a_defect_in_the_writer_fails_the_group_and_is_logged(
    lab: SqliteLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await lab.open()
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr("cloudcore.store.sqlite.file.statements", lambda *_: 1 / 0)
        with pytest.raises(StorageUnavailable):
            await store.create(POD, tail(), uid=Uid("u1"))
    assert [(line["event"], type(line["exc_info"])) for line in logs] == [
        ("a commit group met a defect", ZeroDivisionError)
    ]
    await store.create(POD, tail(), uid=Uid("u1"))
    await store.close()
