from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random

import pytest

from edgecore.hub.client import REFUSALS, STABLE_S, HubClient, LinkState, Phase
from edgecore.hub.session import Introduction, Vitals
from edgecore.meta.memory import MemoryEngine
from edgecore.meta.store import MetaStore
from protocol.errors import ConnectionClosed
from protocol.events import VolatileReceived
from protocol.frames import CloseCode
from protocol.heartbeat import Load
from protocol.objects.keys import NodeName
from protocol.transports.base import Connection
from tests.support.edgeclouds import PlayedCloud

pytestmark = pytest.mark.looptime

WHO = Introduction(NodeName("edge-1"), "instance-1")


class Network:
    """Hands out connections to played clouds, or fails to.

    Attributes:
        dials: When each attempt was made, seconds of virtual time.
        down: Whether dialling fails.
    """

    def __init__(self) -> None:
        self.dials: list[float] = []
        self.down = False
        self.clouds: list[PlayedCloud] = []
        self._arrived = asyncio.Event()

    async def dial(self) -> Connection:
        self.dials.append(asyncio.get_running_loop().time())
        if self.down:
            raise ConnectionClosed(CloseCode.ABNORMAL, "no route")
        cloud = PlayedCloud()
        self.clouds.append(cloud)
        self._arrived.set()
        return cloud.edge

    async def next_cloud(self) -> PlayedCloud:
        while not self.clouds:
            self._arrived.clear()
            await self._arrived.wait()
        return self.clouds.pop(0)


@asynccontextmanager
async def client(
    network: Network, *, on_state: Callable[[LinkState], None] = lambda _: None, seed: int = 1
) -> AsyncIterator[HubClient]:
    store = MetaStore(MemoryEngine(), WHO.node)
    running = HubClient(network.dial, store, WHO, vitals=Vitals(Load), rng=Random(seed), on_state=on_state)
    task = asyncio.ensure_future(running.run())
    try:
        yield running
    finally:
        running.leave()
        await asyncio.wait_for(task, 60)


async def test_it_connects_and_says_so() -> None:
    network = Network()
    states: list[LinkState] = []
    async with client(network, on_state=states.append) as running:
        cloud = await network.next_cloud()
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        assert running.state.phase is Phase.CONNECTED
    await cloud.close()
    assert [state.phase for state in states] == [Phase.CONNECTING, Phase.CONNECTED, Phase.STOPPED]


async def test_delays_grow_with_jitter_and_are_bounded() -> None:
    network = Network()
    network.down = True
    async with client(network):
        await asyncio.sleep(600)
    gaps = [later - earlier for earlier, later in pairwise(network.dials)]
    assert gaps[0] <= 1.0
    assert max(gaps) <= 30.0
    assert max(gaps[5:]) > 8.0
    assert len(set(gaps)) == len(gaps)


async def test_two_nodes_do_not_come_back_in_step() -> None:
    one, other = Network(), Network()
    one.down = other.down = True
    async with client(one, seed=1), client(other, seed=2):
        await asyncio.sleep(120)
    assert set(one.dials[1:]).isdisjoint(other.dials[1:])


async def test_the_clouds_pacing_is_obeyed() -> None:
    network = Network()
    async with client(network):
        cloud = await network.next_cloud()
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        cloud.link.go_away(50.0, asyncio.get_running_loop().time())
        await cloud.flush()
        await cloud.close()
        left_at = asyncio.get_running_loop().time()
        again = await network.next_cloud()
        assert asyncio.get_running_loop().time() - left_at >= 49.0
        await again.close()


@pytest.mark.parametrize("code", sorted(REFUSALS))
async def test_a_refusal_for_good_is_said_and_retried_in_minutes(code: CloseCode) -> None:
    network = Network()
    async with client(network) as running:
        cloud = await network.next_cloud()
        await cloud.refuse(code, "no")
        await asyncio.sleep(30)
        assert running.state.phase is Phase.REFUSED
        assert REFUSALS[code] in running.state.reason
        assert len(network.dials) == 1
        await asyncio.sleep(900)
        assert len(network.dials) >= 2
        await cloud.close()
        for later in network.clouds:
            await later.close()


async def test_it_comes_back_after_a_cut_with_a_newer_epoch() -> None:
    network = Network()
    async with client(network) as running:
        cloud = await network.next_cloud()
        await cloud.accept(1)
        await cloud.wait_for(VolatileReceived)
        cloud.connection.cut()
        again = await network.next_cloud()
        hello = await again.accept(2)
        assert hello.epoch == 1
        await again.wait_for(VolatileReceived)
        assert running.state.phase is Phase.CONNECTED
        await cloud.close()
    await again.close()


async def test_a_dial_that_hangs_is_given_up() -> None:
    network = Network()
    hung = asyncio.Event()

    async def hang() -> Connection:
        network.dials.append(asyncio.get_running_loop().time())
        await hung.wait()
        raise AssertionError("never set")

    network.dial = hang  # type: ignore[method-assign]
    async with client(network):
        await asyncio.sleep(60)
        assert len(network.dials) >= 3
        left_at = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - left_at < 1


async def test_after_a_cut_it_is_back_within_a_second_also_where_cuts_are_frequent() -> None:
    network = Network()
    async with client(network):
        network.down = True
        await asyncio.sleep(100)  # the wait has grown to half a minute
        network.down = False
        for turn in range(5):
            cloud = await network.next_cloud()
            await cloud.accept(turn + 1)
            await cloud.wait_for(VolatileReceived)
            await asyncio.sleep(STABLE_S + 1.0)
            await cloud.close()
            cut_at = asyncio.get_running_loop().time()
            again = await network.next_cloud()
            assert asyncio.get_running_loop().time() - cut_at <= 1.1
            network.clouds.insert(0, again)
        await again.close()


async def test_sessions_that_end_at_once_make_it_wait_longer_and_longer() -> None:
    network = Network()
    async with client(network):
        for turn in range(8):
            cloud = await network.next_cloud()
            await cloud.accept(turn + 1)
            await cloud.close()
    gaps = [later - earlier for earlier, later in pairwise(network.dials)]
    assert max(gaps) > 4.0


async def test_told_to_dial_at_once_it_ends_the_session_and_does() -> None:
    network = Network()
    async with client(network) as running:
        cloud = await network.next_cloud()
        await cloud.accept()
        await cloud.wait_for(VolatileReceived)
        at = asyncio.get_running_loop().time()
        running.redial("the node's address has changed")
        again = await network.next_cloud()
        await again.accept(epoch=2)
        await again.wait_for(VolatileReceived)
        assert network.dials[1] - at < 0.1
        await cloud.close()
    await again.close()


async def test_told_to_dial_at_once_it_waits_no_longer() -> None:
    network = Network()
    network.down = True
    async with client(network) as running:
        await asyncio.sleep(300)
        made, at = len(network.dials), asyncio.get_running_loop().time()
        running.redial("the node's address has changed")
        await asyncio.sleep(1.5)
        soon = [dial - at for dial in network.dials[made:]]
        assert soon[0] == 0.0
        assert len(soon) > 1, "and the waits are short again"
