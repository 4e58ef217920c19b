"""Serves the application over TLS.

The acceptor owns the listening socket and bounds TLS handshakes in time and number; the runner owns the
connections from there on. ``close`` stops listening, ends the watches, lets the requests under way finish, then closes
what is left.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from aiohttp import web

from cloudcore.apiserver.http.app import App
from cloudcore.apiserver.http.connection import ConnectionFactory
from protocol.transports.acceptor import Acceptor, hand_over

_DRAIN_S: Final = 5.0
_KEEPALIVE_S: Final = 300.0


class ApiServer:
    """Runs an :class:`App` on one listening socket.

    Args:
        app: What answers.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._runner: web.ServerRunner | None = None
        self._acceptor: Acceptor[asyncio.BaseProtocol] | None = None

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
        assert self._runner.server is not None
        listening = sock or socket.create_server((host, port))
        self._acceptor = Acceptor(listening, self._runner.server, hand_over, tls=tls)
        self._acceptor.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on.

        Raises:
            RuntimeError: It does not listen.
        """
        if self._acceptor is None or not self._acceptor.sockets:
            raise RuntimeError("the API server does not listen")
        host, port, *_ = self._acceptor.sockets[0].getsockname()
        return str(host), int(port)

    async def close(self) -> None:
        """Stop listening, end the watches, let requests under way finish. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
        self._app.streams.drain()
        await runner.cleanup()
