"""One client connection: aiohttp's, with three things of ours.

It tells a stream at once that its client has gone (other requests run to their end: a write that has begun is not
torn), answers a request that is not HTTP with a ``Status`` like any other failure, and does not tell everybody which
versions of what it is made of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from cloudcore.apiserver.http.responses import respond_failure
from cloudcore.errors import ApiError, BadRequest, InternalError

UNIDENTIFIED_S: Final = 10.0
"""Whoever has no certificate can ask for little, and must not hold a place for long."""


class Request(web.BaseRequest):
    """A request whose answers carry no ``Server`` header, as Kubernetes' do not."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop(hdrs.SERVER, None)


class Connection(RequestHandler):
    """A connection of the API server."""

    __slots__ = ("_on_lost",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_lost: Callable[[], object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the connection; one that shows no certificate may be silent for a short time only."""
        if not transport.get_extra_info("peercert"):
            self._keepalive_timeout = min(self._keepalive_timeout, UNIDENTIFIED_S)
        super().connection_made(transport)

    def when_lost(self, callback: Callable[[], object] | None) -> None:
        """Call ``callback`` once the connection ends; None to no longer do so."""
        self._on_lost = callback

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take note that the connection has ended."""
        callback, self._on_lost = self._on_lost, None
        super().connection_lost(exc)
        if callback is not None:
            callback()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what aiohttp itself turned away, or failed at."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        first_line = str(message or exc or "").strip().split("\n", 1)[0]
        error: ApiError = InternalError("internal error") if status >= 500 else BadRequest(first_line or "bad request")
        response = respond_failure(request, error)
        response.force_close()
        return response


class ConnectionFactory(web.Server):
    """Makes the server's connections."""

    def __call__(self) -> Connection:
        """Return a protocol for a connection that has just been accepted."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def _make_request(self, *args: Any) -> Request:
        arguments: Any = (*args, self._loop)
        return Request(*arguments)
