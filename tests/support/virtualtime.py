"""An event loop whose time is simulated: it never waits, it jumps to the next timer.

The simulation uses this rather than looptime because it runs millions of loop turns: no system call is made in any,
time is exact (a timer never fires a rounding error early, which code that asks ``now >= due`` would answer by arming
it again for ever), and a fleet in which nothing can happen any more fails at once instead of idling.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVarTuple

Ts = TypeVarTuple("Ts")

TICKS = 1_000_000
"""The clock's ticks in a second: timers are set to whole ones, rounded up."""


class _Nothing(selectors.SelectSelector):
    """A selector on which nothing ever arrives; the time it is asked to wait passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits and no timer is set: nothing can happen any more")
        if timeout > 0:
            self.now = round((self.now + timeout) * TICKS) / TICKS
        return []


class _NumberedTask(asyncio.Task[Any]):
    """A task that a set keeps where the loop's history puts it, and not its address: so that a run repeats exactly."""

    def __init__(self, number: int, work: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        super().__init__(work, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on simulated time, which begins at 0."""

    def __init__(self) -> None:
        self._selector: _Nothing
        super().__init__(_Nothing())
        numbers = itertools.count()
        self.set_task_factory(lambda loop, work, **options: _NumberedTask(next(numbers), work, loop=loop, **options))

    def time(self) -> float:
        return self._selector.now

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        tick = round(when * TICKS)
        if tick / TICKS < when:
            tick += 1
        return super().call_at(tick / TICKS, callback, *args, context=context)


def run_virtually(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on simulated time.

    Raises:
        AssertionError: It left a task behind.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(_and_nothing_left(main))


async def _and_nothing_left(main: Coroutine[Any, Any, None]) -> None:
    await main
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left behind: {sorted(task.get_name() for task in left)}"
