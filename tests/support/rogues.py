"""A peer with a good certificate and bad manners, on the library's own WebSocket, so that nothing holds it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.wire import reader
from tests.wire.minimal_edge import SUBPROTOCOL, WINDOW, MinimalEdge
from tests.wire.reader import Json


class Rogue:
    """One connection of a rogue.

    Args:
        edge: Whose certificate and state it has.
        socket: The connection.
    """

    def __init__(self, edge: MinimalEdge, socket: ClientConnection) -> None:
        self.edge = edge
        self.socket = socket
        self.epoch = 0
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def read(self) -> None:
        """Take what comes until the connection ends; one task does."""
        try:
            while True:
                self._frames.put_nowait(await self.socket.recv(decode=False))
        except ConnectionClosed as closed:
            self._code.set_result(closed.rcvd.code if closed.rcvd is not None else 1006)

    async def shake_hands(self) -> Json:
        """Say hello as an honest edge does, and return the welcome."""
        edge = self.edge
        digest = reader.digest(edge.incarnation, edge.holding())
        hello = [1, edge.node, edge.instance, edge.incarnation, edge.epoch, digest, len(edge.held), "rogue"]
        await self.send("HELLO", *hello, *WINDOW, 1)
        welcome = await self.next("WELCOME")
        self.epoch = edge.epoch = welcome["new_epoch"]
        edge.incarnation = welcome["incarnation"]
        return welcome

    async def send(self, name: str, *fields: Any) -> None:
        """Send a frame of this session."""
        await self.raw(reader.write(name, self.epoch, fields))

    async def raw(self, data: Any) -> None:
        """Send anything; a connection that has gone takes it as well as any."""
        try:
            await self.socket.send(data)
        except ConnectionClosed:
            return

    async def next(self, name: str) -> Json:
        """Return the next frame of a type; others are passed over."""
        async with asyncio.timeout(20):
            while True:
                frame = reader.read(await self._frames.get())
                if frame["type"] == "ERROR" and name != "ERROR":
                    raise AssertionError(f"closed: {frame}")
                if frame["type"] == name:
                    return frame

    async def closed_with(self, *, within_s: float = 20.0) -> int:
        """Wait until the hub hangs up, and return its code."""
        return await asyncio.wait_for(asyncio.shield(self._code), within_s)


@asynccontextmanager
async def rogue(edge: MinimalEdge, **options: Any) -> AsyncIterator[Rogue]:
    """Connect as ``edge``; ``options`` go to the library."""
    settings: dict[str, Any] = {"compression": None, "ping_interval": None, "max_size": None, "close_timeout": 1}
    async with connect(edge.urls[0], ssl=edge.tls(), subprotocols=[SUBPROTOCOL], **settings, **options) as socket:  # type: ignore[list-item]  # a Subprotocol is a str
        one = Rogue(edge, socket)
        reading = asyncio.create_task(one.read(), name="rogue: read")
        try:
            yield one
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
