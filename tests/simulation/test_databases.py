"""A cloud restored from a backup, an agent whose database is lost: both end in step with each other."""

from __future__ import annotations

import asyncio
import copy
from functools import partial

import pytest

from edgecore.hub.client import Phase
from edgecore.meta.memory import MemoryDisk as EdgeDisk
from protocol.frames import CloseCode
from protocol.objects.keys import Revision
from tests.support.chaos import chaos
from tests.support.fleets import Fleet, fleet, new_uid
from tests.support.judging import judge
from tests.support.replays import run_seeded, seeds
from tests.support.simulatedusers import PODS, User, pod_spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NEVER = 1e12
BUSY_S = 60.0
JUMP = 1_000_000


class Backup:
    """The cloud's disk and what its users knew, as they were."""

    def __init__(self, one: Fleet, users: list[User]) -> None:
        self._records = dict(one.cloud.disk.records)
        self._reserved = one.cloud.disk.reserved
        self._memories = [copy.deepcopy(user.memories) for user in users]

    async def restore(self, one: Fleet, users: list[User], *, jump: int) -> None:
        """Put the disk back under a new incarnation, its revisions ``jump`` ahead of the backup's."""
        await one.cloud.crash()
        disk = one.cloud.disk
        disk.records, disk.incarnation = dict(self._records), new_uid(one.rng)
        disk.reserved = Revision(self._reserved + jump)
        for user, memories in zip(users, self._memories, strict=True):
            user.memories = copy.deepcopy(memories)
        for edge in one.edges.values():
            edge.host.starts.clear()  # a pod that had been removed comes back, under its old uid
        one.cloud.start()
        await one.cloud.up.wait()


async def go_on(one: Fleet, users: list[User]) -> None:
    """Write more, and remove what there was."""
    for user in users:
        for key, _ in list(user.present())[::2]:
            await user.delete(key)
        for index in range(3):
            await user.create(user.key(PODS, f"later-{index}"), {"metadata": {}, "spec": pod_spec()})
    await asyncio.sleep(20.0)


async def restored(seed: int, *, jump: int) -> None:
    async with fleet(seed, edges=3) as one:
        users = await chaos(one, for_s=BUSY_S, every_s=NEVER)
        await one.settle(partial(judge, one, users))
        backup = Backup(one, users)
        await go_on(one, users)
        await backup.restore(one, users, jump=jump)
        await one.settle(partial(judge, one, users))


@pytest.mark.parametrize("jump", [0, JUMP])
@pytest.mark.parametrize("seed", seeds(2))
def test_edges_end_equal_to_a_restored_store(seed: int, jump: int) -> None:
    run_seeded(seed, partial(restored, jump=jump))


async def joined_after_the_backup(seed: int) -> None:
    async with fleet(seed, edges=1) as one:
        user = User(lambda: one.cloud.client, "default", one.rng)
        backup = Backup(one, [user])
        late = await one.add_edge("late")
        assert await user.create(user.key(PODS, "web"), {"metadata": {}, "spec": pod_spec(node="late")})
        await one.settle(partial(judge, one, [user]))
        (running,) = late.host.running()
        await backup.restore(one, [user], jump=0)
        await asyncio.sleep(600.0)
        assert late.agent.link.phase is Phase.REFUSED
        assert late.agent.link.code == CloseCode.UNKNOWN_NODE
        assert late.host.running() == [running]
        del one.edges["late"]
        await late.stop()
        await one.settle(partial(judge, one, [user]))


def test_a_node_that_the_backup_does_not_know_is_refused_and_keeps_its_pods() -> None:
    run_seeded(1, joined_after_the_backup)


async def lost_at_the_edge(seed: int) -> None:
    async with fleet(seed, edges=2) as one:
        users = await chaos(one, for_s=BUSY_S, every_s=NEVER)
        await one.settle(partial(judge, one, users))
        edge = one.edges["edge-0"]
        before = edge.host.running()
        assert before
        await edge.crash()
        edge.disk = EdgeDisk()
        await one.cloud.crash()
        edge.start()
        await asyncio.sleep(120.0)
        assert edge.host.running() == before, "what runs is left alone while nobody says what should"
        one.cloud.start()
        await one.settle(partial(judge, one, users))
        assert edge.host.running() == before


def test_a_lost_edge_database_is_filled_again_and_its_pods_adopted() -> None:
    run_seeded(1, lost_at_the_edge)
