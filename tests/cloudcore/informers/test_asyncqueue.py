from __future__ import annotations

import asyncio

import pytest

from cloudcore.informers.asyncqueue import AsyncWorkQueue


def doubling(attempt: int) -> float:
    return float(2 ** (attempt - 1))


@pytest.mark.looptime
async def test_each_ready_key_wakes_one_worker() -> None:
    queue: AsyncWorkQueue[str] = AsyncWorkQueue(doubling)
    taken: list[str] = []
    finished = asyncio.Event()

    async def work() -> None:
        while True:
            key = await queue.get()
            taken.append(key)
            queue.done(key)
            if key == "late":
                finished.set()

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(3)]
        await asyncio.sleep(0)
        for key in "abcd":
            queue.add(key)
        queue.add_after("late", 60.0)
        await finished.wait()
        for worker in workers:
            worker.cancel()
    assert taken == ["a", "b", "c", "d", "late"]
    assert asyncio.get_running_loop().time() >= 60.0
    queue.close()


@pytest.mark.looptime
async def test_a_wake_up_of_a_cancelled_worker_goes_to_another() -> None:
    queue: AsyncWorkQueue[str] = AsyncWorkQueue(doubling)
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(queue.get())
        staying = group.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        leaving.cancel()
        assert await staying == "a"
