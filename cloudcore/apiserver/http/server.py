"""Serves the application over TLS.

The runner owns the listening sockets and the connections; ``close`` stops listening, ends the watches, lets the
requests under way finish, then closes what is left.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

from aiohttp import web

from cloudcore.apiserver.http.app import App
from cloudcore.apiserver.http.connection import ConnectionFactory

_DRAIN_S: Final = 5.0
_KEEPALIVE_S: Final = 300.0
_BACKLOG: Final = 4096


class ApiServer:
    """Runs an :class:`App` on one listening socket.

    Args:
        app: What answers.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._runner: web.ServerRunner | None = None

    async def start(
        self,
        tls: ssl.SSLContext | None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        sock: socket.socket | None = None,
    ) -> None:
        """Listen and serve.

        Args:
            tls: The TLS context; None serves plain HTTP, for tests of what needs no identity.
            host: Address to bind, unless ``sock`` is given.
            port: Port to bind; 0 for a free one.
            sock: A socket that is bound already.

        Raises:
            OSError: The address cannot be bound.
        """
        factory = ConnectionFactory(self._app.handle, access_log=None, keepalive_timeout=_KEEPALIVE_S)
        self._runner = web.ServerRunner(factory, shutdown_timeout=_DRAIN_S)
        await self._runner.setup()
        site: web.BaseSite
        if sock is not None:
            site = web.SockSite(self._runner, sock, ssl_context=tls, backlog=_BACKLOG)
        else:
            site = web.TCPSite(self._runner, host, port, ssl_context=tls, backlog=_BACKLOG)
        await site.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on.

        Raises:
            RuntimeError: It does not listen.
        """
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the API server does not listen")
        host, port, *_ = self._runner.addresses[0]
        return str(host), int(port)

    async def close(self) -> None:
        """Stop listening, end the watches, let requests under way finish. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._app.streams.drain()
        await runner.cleanup()
