"""The store against raw SQLite with group commit, in one run: writes, reads, and fan-out to watchers."""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

import uvloop

from benchmarks.harness import Row, report
from cloudcore.store.base import Store, encode
from cloudcore.store.sqlite import SqliteStore
from protocol.objects.keys import ObjectKey, Uid

BODY = encode({"metadata": {"name": "configmap", "namespace": "default", "uid": "u" * 36}, "data": {"k": "x" * 512}})


def raw_sqlite(folder: Path, group: int, seconds: float) -> float:
    """Rows a second that SQLite itself takes in groups of ``group``, each group synced."""
    connection = sqlite3.connect(folder / f"raw-{group}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE objects (id INTEGER PRIMARY KEY, key TEXT, tail BLOB)")
    rows = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        connection.execute("BEGIN IMMEDIATE")
        values = [(rows + i, f"configmaps/default/{rows + i}", BODY) for i in range(group)]
        connection.executemany("INSERT INTO objects VALUES (?, ?, ?)", values)
        connection.execute("COMMIT")
        rows += group
    elapsed = time.perf_counter() - started
    connection.close()
    return rows / elapsed


async def creates(store: Store, writers: int, seconds: float) -> float:
    """Creations a second by ``writers`` concurrent writers, each acknowledged before its next."""
    done = 0
    started = time.perf_counter()

    async def write(writer: int) -> None:
        nonlocal done
        number = 0
        while time.perf_counter() - started < seconds:
            key = ObjectKey("configmaps", f"w{writers}", f"{writer}-{number}")
            await store.create(key, BODY, uid=Uid(f"{writer}-{number}"))
            number += 1
            done += 1

    await asyncio.gather(*(write(writer) for writer in range(writers)))
    return done / (time.perf_counter() - started)


async def updates(store: Store, writers: int, seconds: float, *, volatile: bool) -> float:
    """Compare-and-swap updates a second by ``writers`` writers, each on an object of its own."""
    resource = "leases.coordination.k8s.io" if volatile else "pods"
    keys = [ObjectKey(resource, "default", str(writer)) for writer in range(writers)]
    records = await asyncio.gather(*(store.create(key, BODY, uid=Uid(key.name)) for key in keys))
    done = 0
    started = time.perf_counter()

    async def write(key: ObjectKey, revision: int) -> None:
        nonlocal done
        while time.perf_counter() - started < seconds:
            revision = (await store.update(key, BODY, expected=revision, volatile=volatile)).revision  # type: ignore[arg-type]
            done += 1

    await asyncio.gather(*(write(record.key, record.revision) for record in records))
    return done / (time.perf_counter() - started)


async def reads(store: Store, seconds: float) -> float:
    """Reads a second of one object."""
    key = ObjectKey("nodes", "", "read-me")
    await store.create(key, BODY, uid=Uid("read-me"))
    done = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for _ in range(1_000):
            await store.get(key)
        done += 1_000
    return done / (time.perf_counter() - started)


async def fan_out(store: Store, watchers: int, writes: int) -> tuple[float, float]:
    """Events delivered a second to ``watchers`` of one resource, and writes a second while they all follow."""
    resource = f"services-{watchers}"
    start = store.revision
    idle = [store.watch(["secrets"], since=start) for _ in range(watchers)]

    async def follow() -> None:
        watch = store.watch([resource], since=start)
        seen = 0
        async for progress in watch:
            seen += len(progress.changes)
            if seen == writes:
                break
        watch.close()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(watchers):
            group.create_task(follow())
        await asyncio.sleep(0)
        for number in range(0, writes, 64):
            keys = [ObjectKey(resource, "d", str(number + i)) for i in range(min(64, writes - number))]
            await asyncio.gather(*(store.create(key, BODY, uid=Uid(key.name)) for key in keys))
    elapsed = time.perf_counter() - started
    for watch in idle:
        watch.close()
    return watchers * writes / elapsed, writes / elapsed


async def measure(folder: Path, seconds: float) -> list[Row]:
    raw = {group: raw_sqlite(folder, group, seconds) for group in (1, 64)}
    store = await SqliteStore.open(folder / "store.db")
    figures: list[tuple[str, float, float]] = [
        ("raw SQLite, groups of 1: rows/s", raw[1], raw[1]),
        ("store, 1 writer: creates/s", await creates(store, 1, seconds), raw[1]),
        ("raw SQLite, groups of 64: rows/s", raw[64], raw[64]),
        ("store, 64 writers: creates/s", await creates(store, 64, seconds), raw[64]),
        ("store, 512 writers: creates/s", await creates(store, 512, seconds), raw[64]),
        ("store, 64 writers: updates/s", await updates(store, 64, seconds, volatile=False), raw[64]),
        ("store, 64 writers: volatile updates/s", await updates(store, 64, seconds, volatile=True), raw[64]),
        ("store: reads/s", await reads(store, seconds), raw[64]),
    ]
    events, writes = await fan_out(store, 1_000, 640)
    figures += [
        ("store, 1,000 watchers following: events/s", events, raw[64]),
        ("store, 1,000 watchers following: creates/s", writes, raw[64]),
    ]
    await store.close()
    return [{"what": what, "per second": int(rate), "of raw": rate / base} for what, rate, base in figures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = uvloop.run(measure(Path(folder), options.seconds))
    report("store", "Store on SQLite (WAL, synchronous=FULL), 0.6 KB bodies", rows)


if __name__ == "__main__":
    main()
