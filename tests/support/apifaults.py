"""A relay between a client and an API server that does what networks and busy servers do. It speaks plain HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Answer = Callable[[web.Request], web.Response | None]
"""Answers in the server's place; None lets the request through."""


@dataclass
class FaultyRelay:
    """What the relay does at the moment; tests change it.

    Attributes:
        answer: Answers instead of the server.
        delay_s: How long each request is held up.
        swallows: Methods whose answers are lost with their connection, after the server has done what was asked.
        piece: Watches are cut into pieces of so many bytes; 0 leaves them.
        requests: What came: method, path, query string.
    """

    upstream: aiohttp.ClientSession
    answer: Answer | None = None
    delay_s: float = 0.0
    swallows: frozenset[str] = frozenset()
    piece: int = 0
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""
    _open: set[asyncio.Transport] = field(default_factory=set)

    def reset_all(self) -> None:
        """Break every connection that carries a watch, in the middle of whatever it was saying."""
        for transport in list(self._open):
            transport.abort()

    @property
    def watching(self) -> int:
        """How many watches are open."""
        return len(self._open)

    def count(self, method: str, part: str) -> int:
        """Return how many requests of ``method`` had ``part`` in path or query."""
        return sum(1 for how, path, query in self.requests if how == method and part in f"{path}?{query}")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, request.query_string))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        instead = self.answer(request) if self.answer is not None else None
        if instead is not None:
            return instead
        headers = {name: request.headers[name] for name in ("Content-Type", "Accept") if name in request.headers}
        async with self.upstream.request(
            request.method, request.path_qs, data=await request.read() or None, headers=headers
        ) as response:
            if "watch" in request.query:
                return await self._relay_watch(request, response)
            body = await response.read()
            if request.method in self.swallows and request.transport is not None:
                request.transport.abort()
            return web.Response(status=response.status, body=body, content_type=response.content_type)

    async def _relay_watch(self, request: web.Request, response: aiohttp.ClientResponse) -> web.StreamResponse:
        relayed = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
        await relayed.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        self._open.add(request.transport)
        try:
            async for chunk in response.content.iter_any():
                size = self.piece or len(chunk)
                for start in range(0, len(chunk), size):
                    await relayed.write(chunk[start : start + size])
        except (aiohttp.ClientError, OSError):
            request.transport.abort()
        finally:
            self._open.discard(request.transport)
        return relayed


@asynccontextmanager
async def faulty_relay(upstream: aiohttp.ClientSession) -> AsyncIterator[FaultyRelay]:
    """Run a relay in front of the API server of ``upstream``, which is closed with it."""
    relay = FaultyRelay(upstream)
    app = web.Application(client_max_size=8 << 20)
    app.router.add_route("*", "/{path:.*}", relay.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    relay.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield relay
    finally:
        relay.reset_all()
        await runner.cleanup()
        await upstream.close()
