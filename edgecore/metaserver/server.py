"""Serves the device's Kubernetes API over HTTP/1.1, in bounds.

Contract. A task per connection, from accept on; it answers one request after another. At most :data:`MAX_CONNECTIONS`
connections, TLS handshakes included: for the next one, that which has waited longest for its client is cut off, so that
whoever opens many and says nothing only loses its own. At most :data:`MAX_WATCHES` watches, of one pod
:data:`MAX_WATCHES_OF_A_POD`, the next one is told to come back. A request that takes over :data:`REQUEST_S` to arrive,
an answer that nobody reads for :data:`WRITE_S`, and a connection that says nothing for :data:`IDLE_S` are cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import structlog

from edgecore.metaserver.api import Response, failed
from edgecore.metaserver.failures import Failure
from edgecore.metaserver.http11 import Malformed, Request, RequestParser, chunk, head

log = structlog.get_logger("edgecore.metaserver")

MAX_CONNECTIONS: Final = 64
MAX_WATCHES: Final = 48
MAX_WATCHES_OF_A_POD: Final = 16
REQUEST_S: Final = 30.0
IDLE_S: Final = 90.0
WRITE_S: Final = 30.0
HANDSHAKE_S: Final = 10.0
RETRY_ACCEPT_S: Final = 1.0
"""Pause after an accept failed for want of file descriptors or memory."""
_READ_BYTES: Final = 64 * 1024

Answerer = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Answers connections.

    Args:
        api: Answers requests.
    """

    def __init__(self, api: Answerer) -> None:
        self._api = api
        self._connections: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Task[None], None] = {}
        """Those of the connections that wait for their client, the longest first."""
        self._watches: Counter[str] = Counter()

    @property
    def figures(self) -> dict[str, int]:
        """Connections and watches at this moment, for ``edgecore status``."""
        return {"connections": len(self._connections), "watches": self._watches.total()}

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept connections until cancelled; :meth:`close` ends them.

        Args:
            listener: Listens, and does not block.
            tls: How this side proves who it is; None for plain HTTP.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("cannot accept", cause=str(error))
                await asyncio.sleep(RETRY_ACCEPT_S)
                continue
            if not self._has_room():
                accepted.close()
                continue
            task = loop.create_task(self._answer(accepted, tls), name="metaserver-connection")
            self._connections.add(task)
            self._waiting[task] = None
            task.add_done_callback(self._left)

    def _has_room(self) -> bool:
        """Tell whether there is room for one more connection; somebody may have to go for it."""
        if len(self._connections) < MAX_CONNECTIONS:
            return True
        longest = next(iter(self._waiting), None)
        if longest is not None:
            self._left(longest)
            longest.cancel()
        return longest is not None

    def _left(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._waiting.pop(task, None)

    async def _answer(self, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Answer the requests of one connection."""
        opened = await _opened(accepted, tls)
        if opened is None:
            return
        reader, writer = opened
        try:
            await self._converse(reader, writer)
            writer.close()
            async with asyncio.timeout(WRITE_S):
                await writer.wait_closed()
        except OSError:  # TimeoutError is one
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()  # the agent stops, or another connection needs the place
            raise

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = RequestParser()
        while True:
            try:
                with self._waits():
                    request = await self._next(parser, reader, writer)
            except Malformed as error:
                failure = Failure("BadRequest", error.reason)
                await _send(writer, Response(error.code, failed(failure).body, {"Content-Type": "application/json"}))
                return
            if request is None:
                return
            response = await self._answered(request)
            if response.stream is not None:
                await self._stream(reader, writer, response)
                return
            await _send(writer, response, keep=request.keep_alive, bare=request.method == "HEAD")
            if not request.keep_alive:
                return

    @contextmanager
    def _waits(self) -> Iterator[None]:
        """Count this task's connection among those that wait for their client."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting.setdefault(task)  # a new connection has waited since it was accepted
        try:
            yield
        finally:
            self._waiting.pop(task, None)

    async def _next(
        self, parser: RequestParser, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Request | None:
        """Return the next request; None where the client has gone, or takes too long."""
        continued = False
        try:
            async with asyncio.timeout(IDLE_S) as limit:
                while (request := parser.next_request()) is None:
                    if parser.wants_continue and not continued:
                        continued = True
                        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    was_idle = parser.idle
                    data = await reader.read(_READ_BYTES)
                    if not data:
                        return None
                    if was_idle:
                        limit.reschedule(asyncio.get_running_loop().time() + REQUEST_S)
                    parser.feed(data)
        except TimeoutError:
            return None
        return request

    async def _answered(self, request: Request) -> Response:
        try:
            return await self._api(request)
        except Exception:
            log.exception("request failed", method=request.method, path=request.target[:200])
            return failed(Failure("InternalError", "Internal error occurred: see the agent's log"))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: Response) -> None:
        """Send a watch until it ends, or the client goes."""
        assert response.stream is not None
        with self._place(response.watcher) as refused:
            if refused is not None:
                await _send(writer, failed(refused))
                return
            writer.write(head(200, {**response.headers, "Transfer-Encoding": "chunked", "Connection": "close"}))
            sending = asyncio.ensure_future(_send_stream(writer, response.stream))
            leaving = asyncio.ensure_future(_gone(reader))
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sending, leaving):
                    task.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)

    @contextmanager
    def _place(self, watcher: str) -> Iterator[Failure | None]:
        """Take a watch's place, or say why there is none."""
        if self._watches.total() >= MAX_WATCHES or self._watches[watcher] >= MAX_WATCHES_OF_A_POD:
            yield Failure("TooManyRequests", "there are as many watches as this device serves", retry_after_s=5)
            return
        self._watches[watcher] += 1
        try:
            yield None
        finally:
            self._watches[watcher] -= 1
            if not self._watches[watcher]:
                del self._watches[watcher]


async def _gone(reader: asyncio.StreamReader) -> None:
    """Return once the client has closed; what it says into a watch is passed over."""
    with contextlib.suppress(OSError):
        while await reader.read(1024):
            pass


async def _send_stream(writer: asyncio.StreamWriter, stream: AsyncIterator[bytes]) -> None:
    async for line in stream:
        writer.write(chunk(line))
        async with asyncio.timeout(WRITE_S):
            await writer.drain()
    writer.write(chunk(b""))


async def _send(writer: asyncio.StreamWriter, response: Response, *, keep: bool = False, bare: bool = False) -> None:
    headers = {**response.headers, "Content-Length": str(len(response.body))}
    headers["Connection"] = "keep-alive" if keep else "close"
    writer.write(head(response.code, headers) + (b"" if bare else response.body))
    async with asyncio.timeout(WRITE_S):
        await writer.drain()


async def _opened(
    accepted: socket.socket, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Take a connection through TLS, and return its streams; None where the client does not manage it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    limit_s = HANDSHAKE_S if tls is not None else None
    try:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, accepted, ssl=tls, ssl_handshake_timeout=limit_s
        )
    except OSError:  # ssl.SSLError is one
        accepted.close()
        return None
    except asyncio.CancelledError:
        accepted.close()
        raise
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


@asynccontextmanager
async def serving(sockets: list[socket.socket], server: HttpServer, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Serve on ``sockets``, which are owned from here on, for as long as the block runs."""
    async with asyncio.TaskGroup() as tasks:
        listeners = [tasks.create_task(server.listen(sock, tls), name="metaserver-listener") for sock in sockets]
        try:
            yield
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)
            for sock in sockets:
                sock.close()
            await server.close()
