from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from cloudcore.errors import NotFound, StorageUnavailable
from cloudcore.store.base import Store
from cloudcore.store.memory import CommitStep, MemoryDisk, MemoryStore
from protocol.objects.keys import Uid
from tests.contracts.store import LEASE, POD, PODS, StoreContract, StoreLab, tail


@dataclass
class MemoryLab(StoreLab):
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    broken: bool = False

    async def open(self) -> Store:
        return MemoryStore(self.disk, settings=self.settings, commit_gate=self._gate)

    async def reopen(self, store: Store) -> Store:
        await store.close()
        return await self.open()

    async def crash(self, store: Store) -> Store:
        assert isinstance(store, MemoryStore)
        return store.crash()

    def break_disk(self) -> None:
        self.broken = True

    def mend_disk(self) -> None:
        self.broken = False

    async def _gate(self, step: CommitStep) -> None:
        await asyncio.sleep(0)
        if self.broken and step is CommitStep.WRITE:
            raise OSError("unplugged")


class TestGatedMemoryStore(StoreContract):
    @pytest.fixture
    def lab(self) -> MemoryLab:
        return MemoryLab()


@dataclass
class Gate:
    """Holds each commit at a step until it is opened."""

    step: CommitStep
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, step: CommitStep) -> None:
        if step is self.step:
            self.reached.set()
            await self.opened.wait()


@pytest.mark.parametrize("step", list(CommitStep))
async def test_readers_see_nothing_before_the_commit_is_published(step: CommitStep) -> None:
    gate = Gate(step)
    store = MemoryStore(commit_gate=gate)
    writing = asyncio.ensure_future(store.create(POD, tail(), uid=Uid("u1")))
    await gate.reached.wait()
    with pytest.raises(NotFound):
        await store.get(POD)
    assert not writing.done()
    gate.opened.set()
    created = await writing
    assert await store.get(POD) == created
    await store.close()


@pytest.mark.parametrize(("step", "survives"), [(CommitStep.WRITE, False), (CommitStep.PUBLISH, True)])
async def test_a_crash_keeps_what_was_on_disk_whether_acknowledged_or_not(step: CommitStep, survives: bool) -> None:
    gate = Gate(step)
    store = MemoryStore(commit_gate=gate)
    writing = asyncio.ensure_future(store.create(POD, tail(), uid=Uid("u1")))
    await gate.reached.wait()
    after = store.crash()
    with pytest.raises(StorageUnavailable):
        await writing
    assert bool((await after.list(PODS)).records) is survives
    assert after.incarnation == store.incarnation
    gate.opened.set()
    await asyncio.sleep(0)
    assert bool((await after.list(PODS)).records) is survives
    await after.close()


async def test_a_crash_loses_volatile_updates_and_ends_watches() -> None:
    store = MemoryStore()
    created = await store.create(LEASE, tail("edge-1"), uid=Uid("l"))
    await store.update(LEASE, tail("edge-1", renewed=1), volatile=True)
    watch = store.watch([PODS], since=store.revision)
    after = store.crash()
    assert await anext(aiter(watch), None) is None
    assert await after.get(LEASE) == created
    await after.close()


async def test_a_crash_refuses_writers_in_the_queue_and_later_ones() -> None:
    store = MemoryStore()
    writing = asyncio.ensure_future(store.create(POD, tail(), uid=Uid("u1")))
    await asyncio.sleep(0)
    store.crash()
    with pytest.raises(StorageUnavailable):
        await writing
    with pytest.raises(StorageUnavailable):
        await store.create(POD, tail(), uid=Uid("u1"))


@pytest.mark.looptime
async def test_bookmarks_come_in_virtual_time() -> None:
    loop = asyncio.get_running_loop()
    store = MemoryStore()
    watch = store.watch([PODS], since=store.revision, bookmark_s=60.0)
    start = loop.time()
    first = await anext(watch)
    assert (first.changes, first.revision, loop.time() - start) == ((), store.revision, 60.0)
    await store.create(LEASE, tail("edge-1"), uid=Uid("l"))
    second = await anext(watch)
    assert (second.revision, loop.time() - start) == (store.revision, 120.0)
    watch.close()
    await store.close()


@pytest.mark.looptime
async def test_a_change_puts_the_next_bookmark_off() -> None:
    loop = asyncio.get_running_loop()
    store = MemoryStore()
    watch = store.watch([PODS], since=store.revision, bookmark_s=60.0)
    start = loop.time()

    async def write_later() -> None:
        await asyncio.sleep(50)
        await store.create(POD, tail(), uid=Uid("u1"))

    writing = asyncio.ensure_future(write_later())
    assert len((await anext(watch)).changes) == 1
    assert (await anext(watch)).changes == ()
    assert loop.time() - start == pytest.approx(110.0, abs=0.01)
    await writing
    watch.close()
    await store.close()
