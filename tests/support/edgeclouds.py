"""A cloud played by hand: one end of a memory pair driven by a cloud-side Link, for tests of the edge's hub client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TypeVar

from protocol.driver import LinkDriver
from protocol.events import Closed, Event, HelloReceived
from protocol.link import Link, Side
from protocol.messages import Hello, Item, Resume, Welcome
from protocol.settings import LinkSettings
from protocol.transports.memory import MemoryConnection, memory_pair

E = TypeVar("E")


class PlayedCloud:
    """The cloud's end of one connection.

    Attributes:
        edge: The other end, for the edge.
        link: The cloud's link.
        events: What arrived and was not waited for yet.
    """

    def __init__(self, seed: int = 1) -> None:
        self.edge, self._connection = memory_pair(Random(seed))
        self._loop = asyncio.get_running_loop()
        self.link = Link(Side.CLOUD, LinkSettings(), Random(seed), now=self._loop.time())
        self.events: list[Event] = []
        self._moved = asyncio.Event()
        self._driver = LinkDriver(self.link, self._connection, self._take, clock=self._loop.time)
        self._task = self._loop.create_task(self._run(), name="played-cloud")

    @property
    def connection(self) -> MemoryConnection:
        """The cloud's own end."""
        return self._connection

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            await self._driver.run(tasks, "played-cloud")

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._moved.set()

    async def flush(self) -> None:
        """Write out what the link has to send."""
        self._driver.pump()
        await asyncio.sleep(0)

    async def wait_for(self, kind: type[E], matching: Callable[[E], bool] = lambda _: True) -> E:
        """Return the next event of ``kind`` that matches, dropping it; others stay."""
        while True:
            for index, event in enumerate(self.events):
                if isinstance(event, kind) and matching(event):
                    del self.events[index]
                    return event
            self._moved.clear()
            async with asyncio.timeout(60):
                await self._moved.wait()

    async def accept(
        self, epoch: int = 1, *, incarnation: str = "inc-1", resume: Resume = Resume.EQUAL, heartbeat_s: float = 10.0
    ) -> Hello:
        """Wait for the hello and welcome the edge."""
        hello = (await self.wait_for(HelloReceived)).hello
        self.link.welcome(Welcome(epoch, incarnation, resume, heartbeat_s), self._loop.time())
        await self.flush()
        return hello

    async def refuse(self, code: int, reason: str, *, retry_after_s: float = 0.0) -> None:
        """Wait for the hello and turn the edge away."""
        await self.wait_for(HelloReceived)
        self.link.refuse(code, reason, self._loop.time(), retry_after_s=retry_after_s)
        await self.flush()

    async def send(self, *items: Item) -> None:
        """Send items to the edge."""
        for item in items:
            self.link.send(item, self._loop.time())
        await self.flush()

    async def ended(self) -> Closed:
        """Wait until the session has ended."""
        return await self.wait_for(Closed)

    async def close(self) -> None:
        """End the connection and the task."""
        await self._connection.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
