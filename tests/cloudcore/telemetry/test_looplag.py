from __future__ import annotations

import asyncio

import pytest

from cloudcore.telemetry import looplag
from cloudcore.telemetry.looplag import LoopLag
from tests.support.waiting import aeventually


@pytest.mark.looptime(start=0, end=60)
async def test_a_loop_that_is_on_time_shows_no_lag() -> None:
    lag = LoopLag()
    assert lag.worst_s == 0.0
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(looplag.PERIOD_S * 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert lag.worst_s == pytest.approx(0.0, abs=0.01)


async def test_a_step_that_holds_the_loop_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looplag, "PERIOD_S", 0.001)
    lag = LoopLag()
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.05
    while loop.time() < until:  # holds the loop, as a step that is too long would
        pass
    await aeventually(lambda: lag.worst_s > 0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert lag.worst_s >= 0.04
