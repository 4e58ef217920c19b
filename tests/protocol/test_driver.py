from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest

from protocol.driver import LinkDriver
from protocol.events import Closed, Event, HelloReceived, Received, Settled, WelcomeReceived
from protocol.frames import CloseCode
from protocol.link import Link, Side
from protocol.settings import LinkSettings
from protocol.transports.memory import MemoryConnection, memory_pair
from tests.support.links import HELLO, WELCOME, put

pytestmark = pytest.mark.looptime


class End:
    """One end of a pair: a driven link that answers as its owner would."""

    def __init__(self, side: Side, connection: MemoryConnection) -> None:
        self.loop = asyncio.get_running_loop()
        self.connection = connection
        self.link = Link(side, LinkSettings(), Random(1), now=self.loop.time())
        self.driver = LinkDriver(self.link, connection, self.take, clock=self.loop.time, close_s=3.0)
        self.events: list[Event] = []
        self.running: asyncio.Task[Closed] | None = None

    async def run(self) -> Closed:
        async with asyncio.TaskGroup() as tasks:
            return await self.driver.run(tasks, "end")

    def take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, HelloReceived):
            self.link.welcome(WELCOME, self.loop.time())
        elif isinstance(event, Received):
            self.link.settle(event.batch, None, self.loop.time())

    def seen(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    async def ended(self) -> Closed:
        assert self.running is not None
        return await self.running


@asynccontextmanager
async def pair(
    seen_by_edge: Callable[[MemoryConnection], MemoryConnection] = lambda near: near,
) -> AsyncIterator[tuple[End, End]]:
    near, far = memory_pair()
    edge, cloud = End(Side.EDGE, seen_by_edge(near)), End(Side.CLOUD, far)
    edge.link.start(HELLO, edge.loop.time())
    for end in (edge, cloud):
        end.running = asyncio.create_task(end.run(), name=end.link.side.value)
    try:
        yield edge, cloud
    finally:
        for end in (edge, cloud):
            assert end.running is not None
            end.running.cancel()
        await asyncio.gather(*(end.running for end in (edge, cloud) if end.running), return_exceptions=True)


class Clogged(MemoryConnection):
    """A connection whose peer takes nothing: writing waits until the connection is closed."""

    def __init__(self, inner: MemoryConnection) -> None:
        super().__init__(inner._outgoing, inner._incoming, "memory:clogged", None)
        self.closed_with: tuple[int, str] | None = None
        self._over = asyncio.Event()

    async def send(self, frames: Sequence[bytes]) -> None:
        await self._over.wait()

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        self.closed_with = self.closed_with or (code, reason)
        self._over.set()
        await super().close(code, reason)


async def test_an_item_goes_over_and_its_verdict_comes_back() -> None:
    async with pair() as (edge, cloud):
        await asyncio.sleep(0.1)
        assert edge.seen(WelcomeReceived) == 1
        cloud.link.send(put("web"), cloud.loop.time())
        cloud.driver.pump()
        await asyncio.sleep(0.1)
        assert edge.seen(Received) == 1
        assert cloud.seen(Settled) == 1


async def test_both_ends_learn_how_the_session_ended() -> None:
    async with pair() as (edge, cloud):
        await asyncio.sleep(0.1)
        cloud.link.close(CloseCode.REVOKED, "joined again", cloud.loop.time(), retry_after_s=7.0)
        cloud.driver.pump()
        assert await cloud.ended() == Closed(CloseCode.REVOKED, "joined again", 7.0)
        assert await edge.ended() == Closed(CloseCode.REVOKED, "joined again", 7.0, remote=True)


async def test_a_link_that_ended_before_it_ran_still_tells_the_peer_why() -> None:
    near, far = memory_pair()
    busy = End(Side.CLOUD, near)
    busy.link.close(CloseCode.TRY_LATER, "busy", busy.loop.time())
    assert (await busy.run()).code == CloseCode.TRY_LATER
    peer = End(Side.EDGE, far)
    peer.link.start(HELLO, peer.loop.time())
    assert await peer.run() == Closed(CloseCode.TRY_LATER, "busy", 0.0, remote=True)


async def test_a_cut_connection_ends_the_link() -> None:
    async with pair() as (edge, cloud):
        await asyncio.sleep(0.1)
        cloud.connection.cut()
        assert (await edge.ended()).code == CloseCode.ABNORMAL
        assert (await cloud.ended()).remote


class Trickling(MemoryConnection):
    """A connection on which a large frame arrives byte by byte until ``until``, and is never whole."""

    def __init__(self, inner: MemoryConnection, until: float) -> None:
        super().__init__(inner._outgoing, inner._incoming, "memory:trickling", None)
        self._until = until

    @property
    def bytes_received(self) -> int:
        return int(min(asyncio.get_running_loop().time(), self._until) * 8000)


async def test_a_frame_that_takes_minutes_keeps_the_link_open_and_its_end_does_not() -> None:
    async with pair(lambda near: Trickling(near, 120.0)) as (edge, cloud):
        await asyncio.sleep(1.0)
        cloud.connection.faults.drop = 1.0  # as if all that it sends from here on were one frame
        assert (await edge.ended()).code == CloseCode.DEAD_PEER
        assert 120.0 < edge.loop.time() < 150.0


async def test_silence_is_noticed_although_the_writer_is_held_up() -> None:
    clogged = Clogged(memory_pair()[0])
    end = End(Side.EDGE, clogged)
    end.link.start(HELLO, end.loop.time())
    started = end.loop.time()
    closed = await end.run()
    assert closed.code == CloseCode.HANDSHAKE_TIMEOUT
    assert end.loop.time() - started == pytest.approx(LinkSettings().handshake_s + 3.0, abs=0.1)
    assert clogged.closed_with == (CloseCode.HANDSHAKE_TIMEOUT, closed.reason)


async def test_a_cancelled_driver_closes_its_connection() -> None:
    clogged = Clogged(memory_pair()[0])
    end = End(Side.EDGE, clogged)
    task = asyncio.create_task(end.run(), name="end")
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clogged.closed_with == (CloseCode.GOING_AWAY, "shutting down")


async def test_a_code_that_must_not_go_on_the_wire_is_replaced() -> None:
    clogged = Clogged(memory_pair()[0])
    end = End(Side.EDGE, clogged)
    end.link.connection_lost(CloseCode.ABNORMAL, "gone")
    assert (await end.run()).code == CloseCode.ABNORMAL
    assert clogged.closed_with == (CloseCode.GOING_AWAY, "gone")
