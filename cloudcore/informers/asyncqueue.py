"""The work queue on the running loop's clock, for workers that wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cloudcore.informers.workqueue import WorkQueue

K = TypeVar("K", bound=Hashable)


class AsyncWorkQueue(Generic[K]):
    """A :class:`WorkQueue` on the running loop's clock, with one timer and one wake-up per ready key.

    Args:
        delay: Seconds to wait before the n-th retry in a row (from 1) of one key.
    """

    def __init__(self, delay: Callable[[int], float]) -> None:
        self.core: WorkQueue[K] = WorkQueue(delay)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def __len__(self) -> int:
        return len(self.core)

    def add(self, key: K) -> None:
        """Make ``key`` ready."""
        self.core.add(key, self._now())
        self._wake()

    def add_after(self, key: K, delay_s: float) -> None:
        """Make ``key`` ready in ``delay_s`` seconds, unless it is due earlier already."""
        self.core.add_after(key, delay_s, self._now())
        self._wake()

    def retry(self, key: K, *, at_once: bool = False) -> float:
        """Make ``key`` ready after its back-off (see :meth:`WorkQueue.retry`); return the seconds it waits."""
        delay_s = self.core.retry(key, self._now(), at_once=at_once)
        self._wake()
        return delay_s

    def hold(self, key: K, delay_s: float) -> None:
        """Make ``key`` ready in ``delay_s`` seconds and not before, whoever adds it meanwhile."""
        self.core.hold(key, delay_s, self._now())
        self._wake()

    def rest(self, key: K, delay_s: float) -> None:
        """Do not make ``key`` ready for ``delay_s`` seconds; what adds it meanwhile coalesces."""
        self.core.rest(key, delay_s, self._now())

    def forget(self, key: K) -> None:
        """Reset the back-off of ``key``."""
        self.core.forget(key)

    def done(self, key: K) -> None:
        """Note that the worker of ``key`` has finished."""
        self.core.done(key, self._now())
        self._wake()

    async def get(self) -> K:
        """Wait for a ready key and take it. The caller owes a :meth:`done`."""
        while True:
            key = self.core.take(self._now())
            if key is not None:
                self._wake()
                return key
            self._arm()
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()  # a wake-up spent on a worker that leaves belongs to another
                raise

    def close(self) -> None:
        """Disarm the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _wake(self) -> None:
        """Wake one worker when a key is ready; that one wakes the next."""
        self._arm()
        if not len(self.core):
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _arm(self) -> None:
        """Keep exactly one timer, for the earliest waiting key."""
        due = self.core.next_timer()
        if self._timer is not None:
            if due is not None and self._timer_at <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            # Its time is kept here: a uvloop timer that is due at once does not tell it.
            self._timer_at = due
            self._timer = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.core.handle_timer(self._now())
        self._wake()
