"""One thread that runs blocking jobs in order, and hands each result to the event loop with a single call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Done = Callable[[Any, Exception | None], None]


class JobThread:
    """Runs jobs one after another, off the loop that made it.

    The queue is not bounded here: the engine has one group under way at a time.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Done] | None] = SimpleQueue()
        # A daemon: a process whose loop died must be able to exit. Nothing is acknowledged before it is on disk.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def post(self, job: Callable[[], Any], done: Done) -> None:
        """Run ``job`` on the thread, then ``done(result, error)`` on the loop."""
        self._jobs.put((job, done))

    async def call(self, job: Callable[[], T]) -> T:
        """Run ``job`` on the thread and return its result, or raise what it raised."""
        future: asyncio.Future[T] = self._loop.create_future()

        def settle(result: T, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.post(job, settle)
        return await future

    def stop(self) -> None:
        """End the thread after the jobs that are queued, and wait for it."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, done = entry
            result, error = None, None
            try:
                result = job()
            except Exception as exc:  # noqa: BLE001 - handed to the loop, which raises or logs it
                error = exc
            if self._loop.is_closed():
                return
            self._loop.call_soon_threadsafe(done, result, error)
