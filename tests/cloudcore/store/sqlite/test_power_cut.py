"""Acknowledged means on disk: what a power cut leaves, with the engine's own writer on a disk that forgets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from cloudcore.store.base import Record
from cloudcore.store.settings import StoreSettings
from cloudcore.store.sqlite import SqliteStore
from protocol.errors import UsageError
from protocol.objects.keys import ObjectKey, Uid
from tests.contracts.store import PODS, tail
from tests.support.powercut import PowerCutDisk

SETTINGS = StoreSettings(max_group=4, revision_block=64)


class Run:
    """Writes through a store on a :class:`PowerCutDisk` and remembers what was acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.disk = PowerCutDisk()
        self.path = folder / "a.db"
        self.after = folder / "after.db"
        self.acknowledged: dict[ObjectKey, Record | None] = {}
        self.revisions: list[int] = []

    async def start(self) -> SqliteStore:
        return await SqliteStore.open(self.path, SETTINGS, driver=self.disk)

    async def work(self, store: SqliteStore, rng: Random, writes: int) -> None:
        async def one(name: str) -> None:
            key = ObjectKey(PODS, "d", name)
            if self.acknowledged.get(key) is None:
                record = await store.create(key, tail(name, a="x" * rng.randrange(3_000)), uid=Uid(name))
            elif rng.random() < 0.3:
                record = await store.delete(key)
                self.revisions.append(record.revision)
                self.acknowledged[key] = None
                return
            else:
                record = await store.update(key, tail(name, a="y" * rng.randrange(3_000)))
            self.revisions.append(record.revision)
            self.acknowledged[key] = record

        for _ in range(writes):
            await asyncio.gather(*(one(f"{name}") for name in rng.sample(range(12), 6)))

    async def verify(self, rng: Random | None) -> list[str]:
        """Cut the power, open what is left, and say what is wrong with it."""
        self.disk.cut_power(self.path, self.after, rng)
        try:
            left = await SqliteStore.open(self.after)
        except UsageError as exc:
            return [f"it does not open: {exc}"]
        found = {record.key: record for record in (await left.list(PODS)).records}
        expected = {key: record for key, record in self.acknowledged.items() if record is not None}
        wrong = [f"{key}: {found.get(key)}" for key in {*found, *expected} if found.get(key) != expected.get(key)]
        if self.revisions and await left.reserve() <= max(self.revisions):
            wrong.append("a revision was issued twice")
        await left.close()
        return wrong


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    run = Run(tmp_path)
    store = await run.start()
    await run.work(store, rng, writes=rng.randrange(1, 40))
    assert await run.verify(rng if seed % 2 else None) == []
    await store.close()


async def test_nothing_is_lost_around_a_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path)
    store = await run.start()
    before = run.disk.files["a.db"].syncs
    # Past SQLite's 1,000 pages of log, so that the log has been folded into the file and begun anew.
    await run.work(store, Random(7), writes=160)
    assert run.disk.files["a.db"].syncs > before
    assert await run.verify(Random(7)) == []
    await store.close()


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
async def test_the_disk_notices_a_store_that_does_not_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str
) -> None:
    monkeypatch.setattr("cloudcore.store.sqlite.file.SYNCHRONOUS", synchronous)
    run = Run(tmp_path)
    store = await run.start()
    await run.work(store, Random(1), writes=20)
    assert await run.verify(None) != []
    await store.close()
