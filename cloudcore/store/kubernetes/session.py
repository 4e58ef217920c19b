"""Requests to an API server: one connection pool, one rate, one retry policy.

Contract. A session owns no task. What is over the rate waits its turn. A request is sent again after an answer that
says so (429 and 503 with ``Retry-After``), after 401 once with fresh credentials, and after a broken connection where
that cannot do harm: reads, and whatever never left. Then the caller gets the error. Each attempt has a time limit.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson
import structlog

from cloudcore.errors import ApiError, Unauthorized
from cloudcore.store.kubernetes.access import Access, Grant
from cloudcore.store.kubernetes.failures import ServerUnreachable, failure_of
from cloudcore.store.kubernetes.pacing import TokenBucket
from protocol.backoff import RECONNECT, STANDARD, Backoff, RetryPolicy
from protocol.errors import UsageError
from protocol.objects.keys import Body

log = structlog.get_logger(__name__)

JSON: Final = "application/json"
_NEVER_LEFT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_OTHER_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21, 7})
"""OpenSSL's codes of verification for a chain that ends at no authority that is trusted, or at its namesake."""
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""A server that is gone without a word is noticed in half a minute, however quiet a watch is."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Bounds of a session.

    Attributes:
        qps: Requests per second, in the long run.
        burst: Requests at once after a pause.
        connections: Open connections; the next request waits for one. Watches count.
        timeout_s: How long one attempt may take, seconds.
        retry: When to send a request again.
        reconnect: When to watch again.
        user_agent: Who asks, for the server's log.
        hint: What to ask oneself when nothing answers.
    """

    qps: float = 200.0
    burst: float = 400.0
    connections: int = 128
    timeout_s: float = 30.0
    retry: RetryPolicy = STANDARD
    reconnect: RetryPolicy = RECONNECT
    user_agent: str = "aiokubeedge-cloudcore"
    hint: str = ""


class ApiSession:
    """Sends requests. Use as an async context manager, or call :meth:`close`.

    Args:
        access: Gives address and credentials.
        settings: The bounds.
        rng: Source of jitter.
    """

    def __init__(self, access: Access, settings: SessionSettings | None = None, *, rng: Random | None = None) -> None:
        self.settings = settings or SessionSettings()
        self._access = access
        self._rng = rng or Random()
        self._bucket = TokenBucket(self.settings.qps, self.settings.burst)
        self._grant: Grant | None = None
        self._granting = asyncio.Lock()
        self._http: aiohttp.ClientSession | None = None
        self.throttled_s = 0.0
        """Seconds that requests have waited for their turn (a counter for metrics)."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def server(self) -> str:
        """The server's address; empty before the first request."""
        return self._grant.server if self._grant else ""

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> bytes:
        """Send a request and return the body of its answer.

        Args:
            method: The HTTP method.
            path: The path, without a slash at its beginning.
            body: What to send, as JSON; None for nothing.
            query: The query.
            content_type: Of the body.
            accept: Which form of the answer.

        Raises:
            ApiError: What the server answered, the subclass that its reason names.
            ServerUnreachable: It did not answer.
        """
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": content_type, "Accept": accept}
        backoff, refreshed = Backoff(self.settings.retry, self._rng), False
        while True:
            await self._turn()
            try:
                return await self._attempt(method, path, data, query, headers)
            except Unauthorized:
                if refreshed:
                    raise
                refreshed = True
                await self._refresh()
            except ServerUnreachable as exc:
                if method != "GET" and not isinstance(exc.__cause__, _NEVER_LEFT):
                    raise
                await self._pause(exc, backoff)
            except ApiError as exc:
                if exc.code not in {429, 503} or exc.retry_after_s is None:
                    raise
                await self._pause(exc, backoff)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Body:
        """Send a request and return its answer, decoded.

        Raises:
            ApiError: What the server answered.
            ServerUnreachable: It did not answer, or something else did.
        """
        answer = await self.request(method, path, body=body, query=query, content_type=content_type)
        try:
            decoded: Body = orjson.loads(answer)
        except orjson.JSONDecodeError as exc:
            raise ServerUnreachable(f"what answers at {self.server} is no API server") from exc
        return decoded

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch and yield the pieces of its answer as they come. Its time limit is the query's affair.

        Raises:
            ApiError: What the server answered.
            ServerUnreachable: The connection could not be made, or broke.
        """
        grant, http = await self._ready()
        timeout = aiohttp.ClientTimeout(total=None, connect=self.settings.timeout_s)
        try:
            async with http.get(
                f"{grant.server}/{path}",
                params=query,
                headers=self._headers(grant, {"Accept": JSON}),
                timeout=timeout,
                **_transport(grant),
            ) as response:
                if response.status >= 400:
                    raise failure_of(response.status, await response.read())
                _keep_alive(response)
                yield response.content.iter_any()
        except Unauthorized:
            await self._refresh()
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise self._unreachable(grant, exc) from exc

    async def _attempt(
        self, method: str, path: str, data: bytes | None, query: Mapping[str, str] | None, headers: dict[str, str]
    ) -> bytes:
        grant, http = await self._ready()
        try:
            async with http.request(
                method,
                f"{grant.server}/{path}",
                data=data,
                params=query,
                headers=self._headers(grant, headers),
                timeout=aiohttp.ClientTimeout(total=self.settings.timeout_s),
                **_transport(grant),
            ) as response:
                answer = await response.read()
                if response.status >= 400:
                    raise failure_of(response.status, answer, retry_after=response.headers.get("Retry-After"))
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise self._unreachable(grant, exc) from exc

    async def _ready(self) -> tuple[Grant, aiohttp.ClientSession]:
        grant = self._grant or await self._refresh()
        if self._http is None:
            connector = aiohttp.TCPConnector(limit=self.settings.connections)
            self._http = aiohttp.ClientSession(connector=connector, read_bufsize=1 << 20)
        return grant, self._http

    async def _refresh(self) -> Grant:
        """Get a new grant; those who ask meanwhile share it."""
        before = self._grant
        async with self._granting:
            if self._grant is before or self._grant is None:
                try:
                    self._grant = await self._access.grant()
                except UsageError as exc:
                    if before is None:
                        raise
                    # It was good once: a plugin that fails now may work again, and the daemon is not to end for it.
                    raise Unauthorized(str(exc)) from exc
            return self._grant

    async def _turn(self) -> None:
        wait_s = self._bucket.take(asyncio.get_running_loop().time())
        if wait_s > 0:
            self.throttled_s += wait_s
            await asyncio.sleep(wait_s)

    async def _pause(self, error: ApiError, backoff: Backoff) -> None:
        """Wait before the next attempt, or raise ``error`` where there is to be none."""
        delay_s = backoff.next_delay_s(at_least_s=error.retry_after_s or 0.0)
        if delay_s is None:
            raise error
        log.debug("request put off", cause=error.message, delay_s=round(delay_s, 3))
        await asyncio.sleep(delay_s)

    def _headers(self, grant: Grant, headers: dict[str, str]) -> dict[str, str]:
        named = {**headers, "User-Agent": self.settings.user_agent}
        return {**named, "Authorization": grant.authorization} if grant.authorization else named

    def _unreachable(self, grant: Grant, error: Exception) -> ServerUnreachable:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            why = _why_untrusted(error.certificate_error)
            return ServerUnreachable(f"the API server at {grant.server} is not the one of the kubeconfig: {why}")
        return ServerUnreachable(f"no API server answers at {grant.server}: {self.settings.hint or _why(error)}")


def _transport(grant: Grant) -> dict[str, Any]:
    options: dict[str, Any] = {"ssl": grant.tls} if grant.tls is not None else {}
    if grant.proxy:
        options["proxy"] = grant.proxy
    if grant.server_name:
        options["server_hostname"] = grant.server_name
    return options


def _why_untrusted(error: Exception) -> str:
    """Return what is wrong with a server's certificate, as a person may act on it."""
    found = getattr(error, "verify_message", "") or str(error)
    if getattr(error, "verify_code", None) in _OTHER_AUTHORITY:
        return f"its certificate is not of the authority that the kubeconfig trusts ({found})"
    return f"its certificate is not good: {found}"


def _why(error: Exception) -> str:
    # What the library says of a connection shows the TLS context as an object; the cause alone says it all.
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return str(cause) or type(cause).__name__


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """Have the kernel ask whether the server is still there. By a copy of the descriptor: loops hide their sockets."""
    transport = response.connection.transport if response.connection is not None else None
    hidden = transport.get_extra_info("socket") if transport is not None else None
    if hidden is None:
        return
    with suppress(OSError), socket.socket(fileno=os.dup(hidden.fileno())) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
