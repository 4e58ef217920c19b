"""The hub's port: WebSocket over mutual TLS. Who the peer is comes from its certificate, and from nothing else.

Contract. The TLS layer turns away whoever has no certificate of this cluster's authority; the failed handshake is
logged. A peer with a certificate that is no node's (the administrator's, say) is closed with a code. The
transport runs each connection in a task of its own and bounds, in time and number, those whose handshakes are not over
(:class:`~protocol.transports.acceptor.AcceptLimits`); the hub bounds how many are between handshake and welcome.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

import structlog

from cloudcore.hub.hub import Hub
from cloudcore.security.identity import Identity, IdentityError, identity_of
from protocol.frames import CloseCode
from protocol.transports.acceptor import AcceptLimits
from protocol.transports.websocket import PATH, Server, WebSocketConnection, serve

log = structlog.get_logger(__name__)

SCHEME: Final = "wss"


def hub_url(host: str, port: int) -> str:
    """Return the URL under which edges dial a hub at ``host``:``port``."""
    return f"{SCHEME}://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


class ReportingHandshake(ssl.SSLObject):
    """Logs the handshakes that fail: event loops drop them without a word."""

    def do_handshake(self) -> None:
        """Take the handshake a step further.

        Raises:
            SSLError: The peer has not shown an acceptable certificate, or does not speak TLS.
        """
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLCertVerificationError as exc:
            log.warning("TLS client refused", cause=f"certificate not acceptable: {exc.verify_message}")
            raise
        except ssl.SSLError as exc:
            log.warning("TLS client refused", cause=exc.reason or str(exc))
            raise


class HubServer:
    """Accepts edges.

    Args:
        hub: Drives the connections.
        tls: The server's context; it must require client certificates of the cluster's authority.
        limits: Bounds on connections whose handshakes are not over.

    Raises:
        ValueError: ``tls`` does not require client certificates.
    """

    def __init__(self, hub: Hub, tls: ssl.SSLContext, limits: AcceptLimits | None = None) -> None:
        if tls.verify_mode is not ssl.CERT_REQUIRED:
            raise ValueError("the hub's TLS context must require client certificates")
        tls.sslobject_class = ReportingHandshake
        self._hub = hub
        self._tls = tls
        self._limits = limits or AcceptLimits()
        self._server: Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Listen on ``sock``, which is bound."""
        self._server = await serve(self._handle, sock=sock, tls=self._tls, limits=self._limits)

    async def stop(self) -> None:
        """Close the port and every connection. :meth:`Hub.drain` comes first where nodes are to be told."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _handle(self, connection: WebSocketConnection) -> None:
        identity = self._identify(connection)
        if isinstance(identity, str):
            self._hub.counters["refused"] += 1
            log.warning("connection refused", address=connection.peer_address, cause=identity)
            await connection.close(CloseCode.UNAUTHORIZED, identity)
        else:
            await self._hub.serve(connection, identity, transport="websocket")

    def _identify(self, connection: WebSocketConnection) -> Identity | str:
        certificate = connection.peer_certificate
        if certificate is None:
            return "no client certificate"
        try:
            return identity_of(certificate)
        except IdentityError as exc:
            return str(exc)
