"""The device's own Prometheus endpoint: ``GET /metrics`` on loopback.

Contract. Each connection is answered once and closed. More than :data:`AT_ONCE` at a time are closed unanswered, and
so is whoever takes longer than :data:`REQUEST_S` to ask or to read. An agent that cannot have the port says so and
takes a free one; without any it runs on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog

from edgecore.metrics.exposition import CONTENT_TYPE

log = structlog.get_logger("edgecore.metrics")

HOST: Final = "127.0.0.1"
AT_ONCE: Final = 8
REQUEST_S: Final = 5.0
MAX_REQUEST_BYTES: Final = 8 * 1024


@asynccontextmanager
async def exporting(port: int, exposition: Callable[[], str]) -> AsyncIterator[str]:
    """Serve ``exposition()`` for as long as the block runs; yields the address, empty where there is none.

    Args:
        port: The TCP port; 0 for no endpoint at all.
        exposition: Returns what is told; called on the event loop for each request.
    """
    sock = _bound(port) if port else None
    if sock is None:
        yield ""
        return
    exporter = _Exporter(exposition)
    server = await asyncio.start_server(exporter.answer, sock=sock, limit=MAX_REQUEST_BYTES)
    try:
        yield f"{HOST}:{sock.getsockname()[1]}"
    finally:
        server.close()


class _Exporter:
    def __init__(self, exposition: Callable[[], str]) -> None:
        self._exposition = exposition
        self._answering = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._answering >= AT_ONCE:
            writer.transport.abort()
            return
        self._answering += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(request))
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._answering -= 1

    def _response(self, request: bytes) -> bytes:
        verb, _, rest = request.partition(b" ")
        if verb not in {b"GET", b"HEAD"}:
            return _message("405 Method Not Allowed", "GET /metrics\n")
        if rest.partition(b" ")[0].partition(b"?")[0] != b"/metrics":
            return _message("404 Not Found", "/metrics\n")
        message = _message("200 OK", self._exposition(), CONTENT_TYPE)
        return message if verb == b"GET" else message[: message.index(b"\r\n\r\n") + 4]


def _message(status: str, text: str, kind: str = "text/plain; charset=utf-8") -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def _bound(port: int) -> socket.socket | None:
    for candidate in (port, 0):
        try:
            sock = socket.create_server((HOST, candidate), backlog=AT_ONCE)
        except OSError as error:
            log.warning("the metrics port cannot be had", port=candidate or "any", cause=error.strerror or str(error))
        else:
            sock.setblocking(False)
            return sock
    return None
