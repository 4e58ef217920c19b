"""Two agents under one name: one is served, the other refused, and the operator sees it."""

from __future__ import annotations

import asyncio
import copy
from functools import partial

from edgecore.hub.client import Phase
from protocol.frames import CloseCode
from protocol.objects.conditions import find_condition
from tests.support.fleets import EdgeSite, Fleet, fleet
from tests.support.judging import judge
from tests.support.replays import run_seeded
from tests.support.simulatedusers import PODS, User, pod_spec


async def duplicate_shown(one: Fleet, node: str) -> bool:
    body = await one.cloud.client.get("nodes", "", node)
    return (find_condition(body["status"]["conditions"], "DuplicateInstance") or {}).get("status") == "True"


def second(one: Fleet, *, instance: str = "") -> EdgeSite:
    """Return a second device under the name of the first, with a copy of its disk."""
    first = one.edges["edge-0"]
    clone = EdgeSite("edge-0", one.cloud, one.rng, one.spawn)
    clone.disk = copy.deepcopy(first.disk)
    clone.instance = instance or first.instance
    return clone


async def cloned(seed: int) -> None:
    async with fleet(seed, edges=1) as one:
        user = User(lambda: one.cloud.client, "default", one.rng)
        first = one.edges["edge-0"]
        assert await user.create(user.key(PODS, "web"), {"metadata": {}, "spec": pod_spec()})
        await one.settle(partial(judge, one, [user]))
        running = first.host.running()
        clone = second(one)
        await first.hang_up()  # epochs of the copy are older from now on
        await asyncio.sleep(60.0)
        clone.start()
        await asyncio.sleep(30.0)
        assert clone.agent.link.phase is Phase.REFUSED
        assert clone.agent.link.code == CloseCode.OTHER_INSTANCE
        assert first.agent.link.phase is Phase.CONNECTED
        assert await duplicate_shown(one, "edge-0")
        await asyncio.sleep(3600.0)
        assert clone.agent.link.phase in (Phase.REFUSED, Phase.CONNECTING)
        assert first.agent.link.phase is Phase.CONNECTED
        await clone.stop()
        await first.hang_up()
        await one.settle(partial(judge, one, [user]))
        assert first.host.running() == running


def test_a_copy_of_an_older_state_is_refused_and_disturbs_nothing() -> None:
    run_seeded(1, cloned)


async def cloned_exactly(seed: int) -> None:
    async with fleet(seed, edges=1) as one:
        user = User(lambda: one.cloud.client, "default", one.rng)
        first = one.edges["edge-0"]
        await one.settle(partial(judge, one, [user]))
        clone = second(one)
        clone.start()
        await asyncio.sleep(120.0)
        connected = [site for site in (first, clone) if site.agent.link.phase is Phase.CONNECTED]
        assert len(connected) == 1
        assert await duplicate_shown(one, "edge-0")
        await clone.stop()
        await one.settle(partial(judge, one, [user]), within_s=3600.0)


def test_of_two_equal_copies_one_is_served() -> None:
    run_seeded(1, cloned_exactly)


async def another_instance(seed: int) -> None:
    async with fleet(seed, edges=1) as one:
        await one.settle(partial(judge, one))
        other = second(one, instance="another instance")
        other.start()
        await asyncio.sleep(30.0)
        assert other.agent.link.code == CloseCode.OTHER_INSTANCE
        assert one.edges["edge-0"].agent.link.phase is Phase.CONNECTED
        assert await duplicate_shown(one, "edge-0")
        await other.stop()


def test_an_instance_that_did_not_join_is_refused() -> None:
    run_seeded(1, another_instance)
