"""The log of device reports: in order, once each, bounded, on disk before anybody is told so."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from cloudcore.devices.reportlog import DATABASE, ReportLog, RingLimits
from cloudcore.errors import StorageUnavailable
from protocol.objects.devices import Report
from protocol.objects.keys import NodeName

N1 = NodeName("n1")


def report(number: int, value: str = "", *, device: str = "hall") -> Report:
    return Report("default", device, "temperature", value or str(number), 1_790_000_000_000 + number, number)


@asynccontextmanager
async def opened(folder: Path, limits: RingLimits | None = None) -> AsyncIterator[ReportLog]:
    log = ReportLog(folder, limits)
    running = asyncio.create_task(log.run(), name="log")
    try:
        yield log
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def values(log: ReportLog, device: str = "hall", limit: int = 100) -> list[str]:
    return [each.value for each in log.history("default", device, limit)]


async def test_reports_stay_in_order_across_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.append(N1, [report(1), report(2)])
        await log.append(N1, [report(3)])
    async with opened(tmp_path) as log:
        assert values(log) == ["1", "2", "3"]
        assert values(log, limit=2) == ["2", "3"]
        assert log.held["default", "hall"] == 3


async def test_a_repeat_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.append(N1, [report(1), report(2)])
        await log.append(N1, [report(2), report(3)])
        await log.append(NodeName("n2"), [report(1, "other node")])
        assert values(log) == ["1", "2", "3", "other node"]
        assert log.held["default", "hall"] == 4


async def test_what_is_acknowledged_is_on_disk(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.append(N1, [report(1)])
        with sqlite3.connect(tmp_path / DATABASE) as other:
            assert other.execute("SELECT value FROM reports").fetchall() == [("1",)]


async def test_a_device_that_floods_pushes_out_its_own_past_only(tmp_path: Path) -> None:
    async with opened(tmp_path, RingLimits(reports=100, of_device=5)) as log:
        await log.append(N1, [report(0, "quiet", device="cellar")])
        await log.append(N1, [report(number) for number in range(1, 21)])
        assert values(log) == ["16", "17", "18", "19", "20"]
        assert values(log, "cellar") == ["quiet"]
        assert log.dropped["default", "hall"] == 15
    async with opened(tmp_path) as log:
        assert log.dropped["default", "hall"] == 15


async def test_the_oldest_of_all_go_first_when_the_ring_is_full(tmp_path: Path) -> None:
    async with opened(tmp_path, RingLimits(reports=4, of_device=4)) as log:
        await log.append(N1, [report(1, device="a"), report(2, device="a"), report(3, device="b")])
        await log.append(N1, [report(4, device="c"), report(5, device="c")])
        assert (values(log, "a"), values(log, "b"), values(log, "c")) == (["2"], ["3"], ["4", "5"])
        assert log.held.total() == 4


async def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        with sqlite3.connect(tmp_path / DATABASE) as other:
            other.execute("DROP TABLE reports")
        with pytest.raises(StorageUnavailable):
            await log.append(N1, [report(1)])
        assert not log.held


async def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.append(N1, [report(1)])
    with pytest.raises(StorageUnavailable):
        await log.append(N1, [report(2)])
