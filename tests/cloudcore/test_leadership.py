from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import pytest

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.errors import StorageUnavailable
from cloudcore.leadership import LeaderElection
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import Body
from tests.support.controllers import LoopClock

pytestmark = pytest.mark.looptime


class CutOff(LocalClient):
    """A client whose server can go away."""

    away = False

    async def get(self, resource: str, namespace: str, name: str) -> Body:
        if self.away:
            raise StorageUnavailable("nobody answers")
        return await super().get(resource, namespace, name)


@dataclass
class Replica:
    """One of those who stand for election; notes when it works."""

    name: str
    client: CutOff
    election: LeaderElection
    terms: list[tuple[float, float]] = field(default_factory=list)
    active: bool = False

    def works(self) -> bool:
        return self.active

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        began, self.active = loop.time(), True
        try:
            await asyncio.Event().wait()
        finally:
            self.active = False
            self.terms.append((began, loop.time()))


@asynccontextmanager
async def replicas(*names: str) -> AsyncIterator[list[tuple[Replica, asyncio.Task[None]]]]:
    registry, clock = Registry(MemoryStore()), LoopClock()
    await bootstrap(registry)
    standing = []
    async with asyncio.TaskGroup() as group:
        for seed, name in enumerate(names):
            client = CutOff(registry)
            election = LeaderElection(
                client, clock, namespace="kube-system", name="work", identity=name, rng=Random(seed)
            )
            replica = Replica(name, client, election)
            standing.append((replica, group.create_task(election.run(replica.work))))
        yield standing
        for _, task in standing:
            task.cancel()
    await registry.store.close()


async def test_one_of_two_works_and_goes_on_working() -> None:
    async with replicas("a", "b") as standing:
        for _ in range(60):
            await asyncio.sleep(1.0)
            assert sum(replica.works() for replica, _ in standing) == 1
        assert [replica.election.leads for replica, _ in standing] == [replica.works() for replica, _ in standing]


async def test_another_takes_over_from_one_that_is_gone_after_its_lease_has_run_out() -> None:
    async with replicas("a", "b") as ((first, first_task), (second, second_task)):
        await asyncio.sleep(5.0)
        leader, other, task = (first, second, first_task) if first.works() else (second, first, second_task)
        task.cancel()
        gone_at = asyncio.get_running_loop().time()
        await asyncio.sleep(10.0)
        assert not other.works()
        await asyncio.sleep(12.0)
        assert other.works()
        assert leader.terms[-1][1] == gone_at


async def test_a_leader_that_reaches_nobody_stops_before_another_begins() -> None:
    async with replicas("a", "b") as ((first, _), (second, _)):
        await asyncio.sleep(5.0)
        leader, other = (first, second) if first.works() else (second, first)
        leader.client.away = True
        for _ in range(600):
            await asyncio.sleep(0.1)
            assert not (leader.works() and other.works())
        assert other.works()
        assert leader.terms, "its work was stopped"
        leader.client.away = False
        await asyncio.sleep(30.0)
        assert (leader.works(), other.works()) == (False, True)


async def test_who_resigns_is_followed_at_once() -> None:
    async with replicas("a", "b") as ((first, first_task), (second, second_task)):
        await asyncio.sleep(5.0)
        leader, other, task = (first, second, first_task) if first.works() else (second, first, second_task)
        task.cancel()
        await asyncio.sleep(0)
        await leader.election.resign()
        await asyncio.sleep(4.0)
        assert other.works()
