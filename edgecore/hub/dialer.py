"""Opens WebSocket connections to the hub over mutual TLS."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from edgecore.node.identity import DataFolder
from protocol.errors import UsageError
from protocol.transports.base import Connection
from protocol.transports.websocket import PATH, connect


class Dialer:
    """Tries the hub's addresses in turn: the next one after each failure, from the first again after the last.

    Args:
        urls: ``wss://host:port``, with or without a path.
        tls: The context with this node's certificate and the cluster's CA.

    Raises:
        UsageError: There is no address.
    """

    def __init__(self, urls: Sequence[str], tls: ssl.SSLContext) -> None:
        if not urls:
            raise UsageError("no hub address is known: join again")
        self._urls = [_with_path(url) for url in urls]
        self._tls = tls
        self._next = 0

    async def __call__(self) -> Connection:
        """Open a connection.

        Raises:
            ConnectionClosed: None came about.
        """
        url = self._urls[self._next % len(self._urls)]
        self._next += 1
        connection = await connect(url, tls=self._tls if url.startswith("wss:") else None)
        self._next -= 1  # it is good: the next session starts with it
        return connection


def client_context(folder: DataFolder) -> ssl.SSLContext:
    """Return a TLS context that shows this node's certificate and trusts the cluster's CA alone.

    Raises:
        UsageError: The files that joining made are missing or do not fit together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=str(folder.authority))
        context.load_cert_chain(str(folder.certificate), str(folder.key))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot use the certificates in {folder.key.parent}: {error}; join again") from error
    return context


def _with_path(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=PATH)) if parts.path in ("", "/") else url
