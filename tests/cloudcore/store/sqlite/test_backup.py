from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from cloudcore.store.sqlite import SqliteStore, backup, restore
from protocol.errors import UsageError
from protocol.objects.keys import ObjectKey, Uid
from tests.contracts.store import POD, PODS, tail


async def test_a_backup_of_a_live_store_restores_under_a_new_incarnation(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "a.db")
    kept = await store.create(POD, tail(), uid=Uid("u1"))
    await store.backup(tmp_path / "backup.db")
    lost = await store.update(POD, tail(a=1))
    restore(tmp_path / "backup.db", tmp_path / "b.db")
    restored = await SqliteStore.open(tmp_path / "b.db")
    assert await restored.get(POD) == kept
    assert restored.incarnation != store.incarnation
    assert await restored.reserve() > lost.revision
    await store.close()
    await restored.close()


async def test_a_backup_taken_under_load_is_of_one_moment(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "a.db")
    stop = asyncio.Event()

    async def write_pairs() -> int:
        pairs = 0
        while not stop.is_set():
            keys = [ObjectKey(resource, "d", str(pairs)) for resource in (PODS, "secrets")]
            await asyncio.gather(*(store.create(key, tail(key.name), uid=Uid(str(key))) for key in keys))
            pairs += 1
        return pairs

    writing = asyncio.ensure_future(write_pairs())
    for turn in range(3):
        await store.backup(tmp_path / f"backup-{turn}.db")
    stop.set()
    pairs = await writing
    for turn in range(3):
        copy = await SqliteStore.open(tmp_path / f"backup-{turn}.db")
        pods = [record.key.name for record in (await copy.list(PODS)).records]
        secrets = [record.key.name for record in (await copy.list("secrets")).records]
        assert pods == secrets
        assert len(pods) <= pairs
        await copy.close()
    await store.close()


async def test_a_restore_keeps_what_was_there_before(tmp_path: Path) -> None:
    for name, uid in (("a.db", "old"), ("b.db", "new")):
        store = await SqliteStore.open(tmp_path / name)
        await store.create(POD, tail(), uid=Uid(uid))
        await store.close()
    restore(tmp_path / "b.db", tmp_path / "a.db")
    for name, uid in (("a.db", "new"), ("a.db.before-restore", "old")):
        store = await SqliteStore.open(tmp_path / name)
        assert (await store.get(POD)).uid == uid
        await store.close()


async def test_a_restore_over_a_running_store_is_refused(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "a.db")
    await store.create(POD, tail(), uid=Uid("u1"))
    await store.backup(tmp_path / "backup.db")
    with pytest.raises(UsageError, match="in use"):
        restore(tmp_path / "backup.db", tmp_path / "a.db")
    await store.update(POD, tail(a=1))
    await store.close()


async def test_a_backup_is_private_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "a.db")
    (tmp_path / "out").mkdir()
    await store.backup(tmp_path / "out" / "backup.db")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["backup.db"]
    assert stat.S_IMODE((tmp_path / "out" / "backup.db").stat().st_mode) == 0o600
    await store.close()


async def test_unusable_sources_and_targets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no database"):
        backup(tmp_path / "missing.db", tmp_path / "out.db")
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"junk" * 1000)
    with pytest.raises(UsageError, match="not a database"):
        restore(junk, tmp_path / "a.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(UsageError, match="not a cloudcore database"):
        restore(tmp_path / "empty.db", tmp_path / "a.db")
    store = await SqliteStore.open(tmp_path / "b.db")
    with pytest.raises(UsageError, match="cannot back up"):
        await store.backup(tmp_path / "no" / "such" / "folder.db")
    await store.close()
    assert not (tmp_path / "a.db").exists()
