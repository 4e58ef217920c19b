"""WebSocket transport: one binary message is one frame.

Extensions are off, per-message deflate among them, because the link compresses batches; there is no keepalive here
because the link has one that measures the round trip. Messages are bounded by
:data:`~protocol.frames.MAX_FRAME_BYTES` before they are read into memory. The handshake is the library's sans-IO
protocol, the framing :mod:`protocol.transports.websocketframing`.

Contract: the handler given to :func:`serve` runs in a task of its own per connection; the connection is closed
when it returns. One task receives, one sends, any may close. What was received and not taken is bounded: over
:data:`QUEUE_FRAMES` the transport stops reading. What a peer may make the protocol answer is bounded by the framing.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidURI
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from protocol.errors import ConnectionClosed
from protocol.frames import MAX_FRAME_BYTES, CloseCode
from protocol.transports.acceptor import TLS_CLOSE_S, AcceptLimits, Acceptor, Admission
from protocol.transports.websocketframing import WebSocketFraming

SUBPROTOCOL = Subprotocol("aiokubeedge.v1")
PATH = "/v1/link"
CLOSE_TIMEOUT_S = 5.0
LINGER_S = 1.0
"""How long to read on, and forget, after a close frame that the peer does not wait for."""
QUEUE_FRAMES = 16
"""Received frames that may wait for the owner before the transport stops reading."""
WRITE_BUFFER_BYTES = 32 * 1024
"""What may wait to be written before :meth:`WebSocketConnection.send` waits."""
RECORD_BYTES = 8 * 1024
"""Written at a time over TLS, and so a record: OpenSSL keeps for good a buffer as large as the largest write was.
Without TLS all is written at once: that many writes took a third of a busy link's processor time."""
MAX_HEAD_BYTES = 16 * 1024
"""A handshake's HTTP head is no longer."""
_END_OF_HEAD = b"\r\n\r\n"
_READ_BYTES = 256 * 1024  # a full batch in one read mostly: pieces of a frame are copied twice more
_MAX_REASON_BYTES = 123  # RFC 6455 §5.5: a control frame carries 125 bytes, two of them the code

Handler = Callable[["WebSocketConnection"], Awaitable[None]]
Server = Acceptor["WebSocketConnection"]


class _Scratch(threading.local):
    """What is read goes here first: once per thread, since a loop hands it over in the step in which it reads."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_READ_BYTES))


_scratch = _Scratch()


class WebSocketConnection(asyncio.BufferedProtocol):
    """A ``protocol.transports.base.Connection`` over one WebSocket. Made by :func:`connect` and :func:`serve`.

    Args:
        handshake: The library's protocol, in its initial state.
    """

    __slots__ = (
        "_closed",
        "_encrypted",
        "_ended",
        "_frames",
        "_framing",
        "_handshake",
        "_head",
        "_lingering",
        "_opened",
        "_overdue",
        "_reading",
        "_room",
        "_transport",
        "_waiting",
        "_writable",
        "bytes_received",
    )

    def __init__(self, handshake: ClientProtocol | ServerProtocol) -> None:
        loop = asyncio.get_running_loop()
        self._handshake: ClientProtocol | ServerProtocol | None = handshake
        self._head: bytearray | None = bytearray()
        self._opened: asyncio.Future[None] | None = loop.create_future()
        self._framing = WebSocketFraming(client=isinstance(handshake, ClientProtocol))
        self._frames: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self._ended: ConnectionClosed | None = None
        self._reading = self._writable = True
        self._encrypted = self._lingering = False
        self.bytes_received = 0
        self._transport: asyncio.Transport | None = None

    # What the owner uses.

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate (DER), as TLS verified it; None without TLS or certificate."""
        tls = self._connected().get_extra_info("ssl_object")
        return tls.getpeercert(binary_form=True) if tls is not None else None

    @property
    def peer_address(self) -> str:
        """``host:port`` of the peer."""
        address = self._connected().get_extra_info("peername")
        if not isinstance(address, tuple):
            return str(address or "unknown")
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"{host}:{address[1]}"

    async def send(self, frames: Sequence[bytes]) -> None:
        """Write ``frames``, each as one binary message, all in one piece: one TLS record where they fit."""
        await self._until_writable()
        transport, data = self._connected(), self._framing.encode(frames)
        if len(data) <= RECORD_BYTES or not self._encrypted:
            transport.write(data)
        else:
            rest = memoryview(data)
            for at in range(0, len(rest), RECORD_BYTES):
                transport.write(rest[at : at + RECORD_BYTES])
        if not self._writable:
            await self._until_writable()

    async def receive(self) -> bytes:
        """Return the next message as a frame; a text message is none, and fails to decode as one."""
        while not self._frames:
            if self._ended is not None:
                raise self._ended.with_traceback(None)
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        frame = self._frames.pop(0)
        if not self._reading and not self._frames:
            self._resume()
        return frame

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the WebSocket; ``reason`` is cut to what a close frame can carry."""
        if self._ended is None and not self._framing.closing:
            fitting = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
            self._framing.close(int(code), fitting)
            self._flush()
        await self._until_closed()

    async def opened(self) -> None:
        """Wait for the handshake.

        Raises:
            InvalidHandshake: The peer does not speak this protocol.
            ConnectionClosed: It has gone.
        """
        if self._opened is not None:
            await self._opened
            self._opened = None

    def abort(self) -> None:
        """Drop the connection without a word, as a broken network does."""
        if self._ended is None:
            self._connected().abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the transport; a client asks for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        self._encrypted = transport.get_extra_info("sslcontext") is not None
        if isinstance(self._handshake, ClientProtocol):
            self._handshake.send_request(self._handshake.connect())
            self._flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to."""
        return _scratch.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        data = _scratch.buffer[:nbytes]
        self.bytes_received += nbytes
        if self._handshake is not None:
            self._shake_hands(data)
        else:
            self._take(data)

    def eof_received(self) -> None:
        """Take note that the peer has ended its stream; the transport closes."""
        if self._handshake is None:
            self._framing.receive_eof()
            self._flush()

    def pause_writing(self) -> None:
        """Hold up the sender."""
        self._writable = False

    def resume_writing(self) -> None:
        """Let the sender go on."""
        self._writable = True
        _wake(self._room)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits: it is over."""
        if self._overdue is not None:
            self._overdue.cancel()
        self._ended = self._framing.ending
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(self._ended)
            self._opened.exception()  # nobody need be waiting
        for waiter in (self._waiting, self._room, self._closed):
            _wake(waiter)

    # Inside.

    def _connected(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def _shake_hands(self, data: memoryview) -> None:
        """Take bytes of the handshake; what lies behind its head is frames already."""
        handshake, head = self._handshake, self._head
        assert handshake is not None
        assert head is not None
        head += data
        end = head.find(_END_OF_HEAD)
        if end < 0:
            if len(head) > MAX_HEAD_BYTES:
                self._fail(InvalidHandshake(f"a head of more than {MAX_HEAD_BYTES} bytes"))
            return
        rest = bytes(head[end + len(_END_OF_HEAD) :])
        handshake.receive_data(bytes(head[: end + len(_END_OF_HEAD)]))
        for event in handshake.events_received():
            if isinstance(handshake, ServerProtocol) and isinstance(event, Request):
                handshake.send_response(handshake.accept(event))
        self._flush()
        if handshake.state is not State.OPEN:
            self._fail(handshake.handshake_exc or InvalidHandshake("no WebSocket"))
            return
        self._handshake = self._head = None
        _wake(self._opened)
        if rest:
            self._take(rest)

    def _fail(self, cause: Exception) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(cause)
            self._opened.exception()  # nobody need be waiting
        self._connected().close()

    def _take(self, data: bytes | memoryview) -> None:
        frames = self._framing.receive(data)
        self._flush()
        if frames:
            self._frames += frames
            _wake(self._waiting)
            if len(self._frames) >= QUEUE_FRAMES:
                self._pause()

    def _flush(self) -> None:
        """Write what the protocol itself wants written: pongs, the closing handshake, the opening one."""
        transport = self._connected()
        if self._handshake is not None:
            transport.write(b"".join(self._handshake.data_to_send()))
            return
        data, ends = self._framing.data_to_send()
        if data:
            transport.write(data)
        if self._framing.closing:
            self._close_soon(ends)

    def _close_soon(self, ends: bool) -> None:
        """Go on reading, for the peer's close frame or its end of the stream, and not for ever."""
        transport = self._connected()
        self._resume()
        if self._overdue is None:
            self._overdue = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, transport.abort)
        if ends and transport.can_write_eof():
            transport.write_eof()
        elif ends and self._framing.heard_out:
            transport.close()
        elif ends and not self._lingering:
            # TLS has no half-close. Closed while the peer still sends, the socket would answer with a reset, and
            # that may overtake the close frame, which says why.
            self._lingering = True
            self._overdue.cancel()
            self._overdue = asyncio.get_running_loop().call_later(LINGER_S, transport.close)

    def _pause(self) -> None:
        if self._reading and not self._framing.closing:
            self._reading = False
            self._connected().pause_reading()

    def _resume(self) -> None:
        if not self._reading and self._ended is None:
            self._reading = True
            self._connected().resume_reading()

    async def _until_writable(self) -> None:
        while True:
            if self._ended is not None or self._framing.closing:
                await self._until_closed()
                assert self._ended is not None
                raise self._ended.with_traceback(None)
            if self._writable:
                return
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None

    async def _until_closed(self) -> None:
        if self._ended is None:
            if self._closed is None:
                self._closed = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._closed])


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def connect(uri: str, *, tls: ssl.SSLContext | None = None, timeout_s: float = 10.0) -> WebSocketConnection:
    """Connect to a hub.

    Args:
        uri: ``wss://host:port/v1/link`` (``ws://`` in tests).
        tls: The context with this side's certificate and the CA; required for ``wss``.
        timeout_s: How long TCP, TLS and the WebSocket handshake may take together, seconds.

    Raises:
        ConnectionClosed: No connection came about; the reason says why.
    """
    connection: WebSocketConnection | None = None
    try:
        place = parse_uri(uri)

        def make() -> WebSocketConnection:
            return WebSocketConnection(ClientProtocol(place, subprotocols=[SUBPROTOCOL], max_size=MAX_FRAME_BYTES))

        options: dict[str, Any] = {"ssl": tls or True, "ssl_shutdown_timeout": TLS_CLOSE_S} if place.secure else {}
        async with asyncio.timeout(timeout_s):
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(make, place.host, place.port, **options)
            await connection.opened()
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as exc:
        if connection is not None:
            connection.abort()
        raise ConnectionClosed(CloseCode.ABNORMAL, f"cannot connect to {uri}: {exc or type(exc).__name__}") from exc
    return connection


async def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    sock: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
    limits: AcceptLimits | None = None,
) -> Server:
    """Listen for edges and run ``handler`` for each connection.

    Args:
        handler: Runs one connection; the connection is closed when it returns.
        host: Address to listen on.
        port: Port to listen on; 0 for a free one (see ``Server.sockets``).
        sock: A bound socket, instead of ``host`` and ``port``.
        tls: The server's context; it decides whether a client certificate is required.
        limits: Bounds on connections whose handshake is not over.

    Raises:
        OSError: The address cannot be listened on.
    """

    async def run(connection: WebSocketConnection, admission: Admission) -> None:
        try:
            async with asyncio.timeout_at(admission.deadline):
                await connection.opened()
        except (InvalidHandshake, ConnectionClosed):
            return  # it was answered, or has gone
        except TimeoutError:
            connection.abort()
            raise
        admission.done()
        try:
            await handler(connection)
        except ConnectionClosed:
            pass
        finally:
            await connection.close(CloseCode.GOING_AWAY)

    server = Acceptor(sock or socket.create_server((host, port)), _greeter, run, tls=tls, limits=limits)
    server.start()
    return server


def _greeter() -> WebSocketConnection:
    return WebSocketConnection(ServerProtocol(subprotocols=[SUBPROTOCOL], max_size=MAX_FRAME_BYTES))
