"""WebSocket transport: one binary message is one frame.

Per-message deflate is off because the link compresses whole batches; the library's own keepalive is off because the
link has one that measures the round trip. Messages are bounded by :data:`~protocol.frames.MAX_FRAME_BYTES` before
they are read into memory.

Contract: the handler given to :func:`serve` runs in a task of its own per connection; the connection is closed
when it returns. A handshake that does not finish in time is dropped by the library.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect as _connect
from websockets.asyncio.server import serve as _serve
from websockets.exceptions import ConnectionClosed as WebSocketClosed
from websockets.exceptions import InvalidHandshake, InvalidURI
from websockets.protocol import State

from protocol.errors import ConnectionClosed
from protocol.frames import MAX_FRAME_BYTES, CloseCode

if TYPE_CHECKING:
    from websockets.asyncio.connection import Connection as LibraryConnection
    from websockets.asyncio.server import Server, ServerConnection

SUBPROTOCOL = "aiokubeedge.v1"
PATH = "/v1/link"
CLOSE_TIMEOUT_S = 5.0
_MAX_REASON_BYTES = 123  # RFC 6455 §5.5: a control frame carries 125 bytes, two of them the code

Handler = Callable[["WebSocketConnection"], Awaitable[None]]


class WebSocketConnection:
    """A ``protocol.transports.base.Connection`` over one WebSocket.

    Args:
        websocket: The library's connection, open.
    """

    __slots__ = ("_websocket",)

    def __init__(self, websocket: LibraryConnection) -> None:
        self._websocket = websocket
        # The library keeps the handshake as long as the connection: 4 KB of headers that nobody reads again.
        for message in (websocket.request, websocket.response):
            if message is not None:
                message.headers.clear()

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate (DER), as TLS verified it; None without TLS or certificate."""
        tls = self._websocket.transport.get_extra_info("ssl_object")
        return tls.getpeercert(binary_form=True) if tls is not None else None

    @property
    def peer_address(self) -> str:
        """``host:port`` of the peer."""
        address = self._websocket.transport.get_extra_info("peername")
        if not isinstance(address, tuple):
            return str(address or "unknown")
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"{host}:{address[1]}"

    async def send(self, frames: Sequence[bytes]) -> None:
        """Write ``frames``, each as one binary message."""
        try:
            for frame in frames:
                if self._websocket.state is not State.OPEN:
                    await self._until_closed()
                    raise self._websocket.protocol.close_exc
                await self._websocket.send(frame)
        except WebSocketClosed as exc:
            raise _closed(exc) from exc

    async def receive(self) -> bytes:
        """Return the next message as a frame; a text message is none, and fails to decode as one."""
        try:
            return await self._websocket.recv(decode=False)
        except WebSocketClosed as exc:
            raise _closed(exc) from exc

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the WebSocket; ``reason`` is cut to what a close frame can carry."""
        if self._websocket.state is State.OPEN:
            fitting = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
            await self._websocket.close(int(code), fitting)
        else:
            await self._until_closed()

    async def _until_closed(self) -> None:
        """Wait for a closing connection to be closed.

        The library would abort the transport afterwards, which fails on asyncio's own loop if it is closed by then.
        """
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._websocket.wait_closed()
        except TimeoutError:
            self._websocket.transport.abort()
            await self._websocket.wait_closed()


def _closed(exc: WebSocketClosed) -> ConnectionClosed:
    received, sent = exc.rcvd, exc.sent
    if received is not None and (sent is None or exc.rcvd_then_sent):
        return ConnectionClosed(received.code, received.reason or "closed by the peer")
    if sent is not None and received is not None:
        return ConnectionClosed(sent.code, sent.reason or "closed here")
    if sent is not None and sent.code in {CloseCode.MESSAGE_TOO_BIG, 1002, 1007}:
        return ConnectionClosed(sent.code, sent.reason or "the peer broke the WebSocket protocol")
    return ConnectionClosed(CloseCode.ABNORMAL, "the connection was lost")


def _options() -> dict[str, Any]:
    return {
        "compression": None,
        "ping_interval": None,
        "close_timeout": CLOSE_TIMEOUT_S,
        "max_size": MAX_FRAME_BYTES,
        "max_queue": 16,
        "subprotocols": [SUBPROTOCOL],
    }


async def connect(uri: str, *, tls: ssl.SSLContext | None = None, timeout_s: float = 10.0) -> WebSocketConnection:
    """Connect to a hub.

    Args:
        uri: ``wss://host:port/v1/link`` (``ws://`` in tests).
        tls: The context with this side's certificate and the CA; required for ``wss``.
        timeout_s: How long TCP, TLS and the WebSocket handshake may take together, seconds.

    Raises:
        ConnectionClosed: No connection came about; the reason says why.
    """
    try:
        websocket = await _connect(uri, ssl=tls, open_timeout=timeout_s, proxy=None, **_options())
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, WebSocketClosed) as exc:
        raise ConnectionClosed(CloseCode.ABNORMAL, f"cannot connect to {uri}: {exc or type(exc).__name__}") from exc
    return WebSocketConnection(websocket)


async def serve(
    handler: Handler,
    host: str | None = None,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
    handshake_timeout_s: float = 10.0,
    backlog: int = 4096,
) -> Server:
    """Listen for edges and run ``handler`` for each connection.

    Args:
        handler: Runs one connection; the connection is closed when it returns.
        host: Address to listen on.
        port: Port to listen on; 0 for a free one (see ``Server.sockets``).
        sock: A bound socket, instead of ``host`` and ``port``.
        tls: The server's context; it decides whether a client certificate is required.
        handshake_timeout_s: How long a peer may take for TLS and the WebSocket handshake, seconds.
        backlog: Connections the kernel holds until they are accepted; a whole fleet may come back at once.

    Raises:
        OSError: The address cannot be listened on.
    """

    async def run(websocket: ServerConnection) -> None:
        await handler(WebSocketConnection(websocket))

    place: dict[str, Any] = {"host": host, "port": port} if sock is None else {"sock": sock}
    return await _serve(
        run, **place, ssl=tls, open_timeout=handshake_timeout_s, backlog=backlog, server_header=None, **_options()
    )
