from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest

from cloudcore.controllers.runtime import DONE, Controller, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import Conflict, Invalid, TooManyRequests
from cloudcore.informers import Informers
from cloudcore.store.base import encode
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import ObjectKey, Uid

KEY = ObjectKey("configmaps", "default", "a")

pytestmark = pytest.mark.looptime


class Scripted:
    """A reconciler that does what its script says, call by call, and is done afterwards."""

    name = "scripted"
    workers = 3

    def __init__(self, *script: Result | Exception) -> None:
        self.script = list(script)
        self.called_at: list[float] = []
        self.running = 0

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        return (Watching("configmaps", own_keys("configmaps")),)

    async def reconcile(self, key: ObjectKey) -> Result:
        assert key == KEY
        assert self.running == 0, "two workers have one key"
        self.running += 1
        self.called_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        self.running -= 1
        answer = self.script.pop(0) if self.script else DONE
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def driven(logic: Scripted) -> AsyncIterator[tuple[Controller[ObjectKey], MemoryStore]]:
    store = MemoryStore()
    informers = Informers(store)
    controller = Controller(logic, informers, Random(1))
    await store.create(KEY, encode({"metadata": {"name": "a", "namespace": "default"}}), uid=Uid("u"))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(informers.run()), group.create_task(controller.run())]
        yield controller, store
        for task in tasks:
            task.cancel()
    await store.close()


async def test_what_is_there_at_the_start_is_reconciled_once() -> None:
    logic = Scripted()
    async with driven(logic) as (controller, _):
        await asyncio.sleep(5)
        assert logic.called_at == [0.0]
        assert controller.counters.reconciled == 1


async def test_a_key_comes_again_after_the_time_asked_for() -> None:
    logic = Scripted(RequeueAfter(30.0))
    async with driven(logic):
        await asyncio.sleep(60)
        assert logic.called_at == [0.0, 30.0]


async def test_a_conflict_is_tried_again_at_once_but_not_for_ever() -> None:
    logic = Scripted(*[Conflict("changed")] * 4)
    async with driven(logic) as (controller, _):
        await asyncio.sleep(60)
        assert logic.called_at[:4] == [0.0] * 4
        assert logic.called_at[4] > 0.0
        assert controller.counters.conflicts == 3


async def test_failures_back_off_and_success_forgets_them() -> None:
    logic = Scripted(*[Invalid("no")] * 5, DONE)
    async with driven(logic) as (controller, _):
        await asyncio.sleep(60)
        gaps = [later - earlier for earlier, later in zip(logic.called_at, logic.called_at[1:], strict=False)]
        assert len(gaps) == 5
        assert all(0.025 * 2**n <= gap <= 0.0501 * 2**n for n, gap in enumerate(gaps))
        assert controller.queue.core.attempts(KEY) == 0


async def test_changes_do_not_shorten_the_back_off_by_more_than_what_is_over_a_second() -> None:
    logic = Scripted(*[Invalid("no")] * 10)
    async with driven(logic) as (_, store):
        for number in range(400):
            await store.update(KEY, encode({"metadata": {"name": "a", "namespace": "default"}, "data": {"n": number}}))
            await asyncio.sleep(0.01)
        gaps = [later - earlier for earlier, later in zip(logic.called_at, logic.called_at[1:], strict=False)]
        assert all(gap >= min(1.0, 0.025 * 2**n) for n, gap in enumerate(gaps))
        assert max(gaps) <= 1.02


async def test_a_bug_in_a_reconcile_stops_nobody() -> None:
    logic = Scripted(ZeroDivisionError("bug"))
    async with driven(logic) as (controller, _):
        await asyncio.sleep(60)
        assert (controller.counters.failed, controller.counters.reconciled) == (1, 1)


async def test_a_throttled_key_waits_even_if_its_object_changes() -> None:
    logic = Scripted(TooManyRequests("full", retry_after_s=20))
    async with driven(logic) as (controller, store):
        await asyncio.sleep(5)
        await store.update(KEY, encode({"metadata": {"name": "a", "namespace": "default"}, "data": {}}))
        await asyncio.sleep(60)
        assert len(logic.called_at) == 2
        assert 20.0 <= logic.called_at[1] <= 22.1
        assert controller.counters.throttled == 1


async def test_a_deleted_object_is_reconciled_too() -> None:
    logic = Scripted()
    async with driven(logic) as (_, store):
        await asyncio.sleep(1)
        await store.delete(KEY)
        await asyncio.sleep(1)
        assert len(logic.called_at) == 2
