from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edgecore.meta.base import StorageUnavailable
from edgecore.meta.engine import FactRow
from edgecore.meta.memory import MemoryDisk, MemoryEngine
from tests.contracts.metaengine import MetaLab, MetaStoreContract


class MemoryLab(MetaLab):
    def __init__(self) -> None:
        super().__init__()
        self.disk = MemoryDisk()

    def engine(self) -> MemoryEngine:
        return MemoryEngine(self.disk)

    async def crash(self) -> None:
        engine = self.opened[-1]
        assert isinstance(engine, MemoryEngine)
        engine.crash()

    def fill_disk(self) -> None:
        self.disk.full = True

    def free_disk(self) -> None:
        self.disk.full = False


@pytest.fixture
async def lab() -> AsyncIterator[MetaLab]:
    lab = MemoryLab()
    yield lab
    await lab.close()


class TestMemoryEngine(MetaStoreContract):
    @pytest.mark.looptime
    async def test_a_crash_loses_what_is_not_committed(self) -> None:
        disk = MemoryDisk()
        engine = MemoryEngine(disk, commit_s=0.5)
        commit = asyncio.ensure_future(engine.commit([FactRow("epoch", "7")]))
        await asyncio.sleep(0)
        assert MemoryEngine(disk).load().facts == {}
        engine.crash()
        with pytest.raises(StorageUnavailable):
            await commit
        assert MemoryEngine(disk).load().facts == {}

    @pytest.mark.looptime
    async def test_a_commit_takes_its_time(self) -> None:
        engine = MemoryEngine(commit_s=0.5)
        started = asyncio.get_running_loop().time()
        await asyncio.gather(engine.commit([FactRow("a", "1")]), engine.commit([FactRow("b", "2")]))
        assert asyncio.get_running_loop().time() - started == pytest.approx(0.5)
        assert engine.load().facts == {"a": "1", "b": "2"}
