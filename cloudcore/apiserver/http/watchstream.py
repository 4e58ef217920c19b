"""Watches over HTTP: one JSON document a line, for as long as the client stays.

Concurrency: the request's own task runs the watch; nothing is queued. A write waits until the connection takes more,
so a slow client is behind in the store's history, bounded by what the store keeps, and costs no memory here. The
client's going cancels the task. Every watch ends at its time limit, or when the server drains, with a clean end of
the stream, after which clients watch again from where they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Final

import orjson
from aiohttp import web

from cloudcore.apiserver.http.connection import Connection
from cloudcore.apiserver.http.negotiation import JSON
from cloudcore.apiserver.http.rendering import Renderer
from cloudcore.apiserver.http.status import failure
from cloudcore.apiserver.watch import WatchEvent
from cloudcore.errors import ApiError

_CHUNK_BYTES: Final = 64 * 1024
_GOODBYE_S: Final = 5.0
"""How long a client may take to accept the end of its stream."""


class WatchStreams:
    """The open watches, so that draining can end them."""

    def __init__(self) -> None:
        self._open: set[asyncio.Timeout] = set()
        self._draining = False

    def __len__(self) -> int:
        """Return how many watches are open."""
        return len(self._open)

    def drain(self) -> None:
        """End all watches, and those to come, with a clean end of their streams."""
        self._draining = True
        now = asyncio.get_running_loop().time()
        for limit in self._open:
            limit.reschedule(now)

    async def serve(
        self,
        request: web.BaseRequest,
        events: AsyncGenerator[Sequence[WatchEvent], None],
        renderer: Renderer,
        *,
        timeout_s: float,
    ) -> web.StreamResponse:
        """Send ``events`` until they end, the time is up, or the client goes.

        Args:
            request: The watch request.
            events: The events; closed here.
            renderer: Writes the objects.
            timeout_s: Seconds after which the watch ends.
        """
        response = web.StreamResponse(headers={"Content-Type": JSON, "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with _cancelled_when_lost(request):
            try:
                async with asyncio.timeout(0 if self._draining else timeout_s) as limit:
                    self._open.add(limit)
                    await _send(response, events, renderer)
            except TimeoutError:
                pass
            finally:
                self._open.discard(limit)
            await _end(request, response)
        return response


@contextmanager
def _cancelled_when_lost(request: web.BaseRequest) -> Iterator[None]:
    connection, task = request.protocol, asyncio.current_task()
    if not isinstance(connection, Connection) or task is None:
        yield
        return
    connection.when_lost(task.cancel)
    try:
        yield
    finally:
        connection.when_lost(None)


async def _send(
    response: web.StreamResponse, events: AsyncGenerator[Sequence[WatchEvent], None], renderer: Renderer
) -> None:
    async with aclosing(events):
        try:
            async for group in events:
                for chunk in _chunks(group, renderer):
                    await response.write(chunk)
                    await asyncio.sleep(0)
        except ApiError as error:
            await response.write(b'{"type":"ERROR","object":%b}\n' % orjson.dumps(failure(error)))


def _chunks(group: Sequence[WatchEvent], renderer: Renderer) -> Iterator[bytes]:
    """Yield the lines of a group in pieces small enough that encrypting one does not hold the loop."""
    lines: list[bytes] = []
    size = 0
    for event in group:
        line = b'{"type":"%b","object":%b}\n' % (event.type.encode(), renderer.watch_object(event))
        lines.append(line)
        size += len(line)
        if size >= _CHUNK_BYTES:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


async def _end(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """End the stream; a client that does not take even that is cut off."""
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
