"""Opens WebSocket connections to the hub over mutual TLS.

The device's clock has no say in whether the hub's certificate is valid: without a battery it stands in 1970 at boot,
and where it is set from the network it may not come right before the cloud is reached. The certificate must be the
cluster's own authority's, and must not have ended before a time that has certainly come (:class:`.TimeFloor`).
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from edgecore.hub.validity import validity
from edgecore.node.identity import DataFolder
from edgecore.node.timefloor import NO_CHECK_TIME, TimeFloor
from protocol.errors import ConnectionClosed, UsageError
from protocol.frames import CloseCode
from protocol.objects.times import timestamp
from protocol.transports.base import Connection
from protocol.transports.websocket import PATH, connect


class Dialer:
    """Tries the hub's addresses in turn: the next one after each failure, from the first again after the last.

    Args:
        urls: ``wss://host:port``, with or without a path.
        tls: The context with this node's certificate and the cluster's CA.
        clock: Knows what time has certainly come.

    Raises:
        UsageError: There is no address.
    """

    def __init__(self, urls: Sequence[str], tls: ssl.SSLContext, clock: TimeFloor) -> None:
        if not urls:
            raise UsageError("no hub address is known: join again")
        self._urls = [_with_path(url) for url in urls]
        self._tls = tls
        self._clock = clock
        self._next = 0

    async def __call__(self) -> Connection:
        """Open a connection.

        Raises:
            ConnectionClosed: None came about.
        """
        url = self._urls[self._next % len(self._urls)]
        self._next += 1
        connection = await connect(url, tls=self._tls if url.startswith("wss:") else None)
        await self._check(connection)
        self._next -= 1  # it is good: the next session starts with it
        return connection

    async def _check(self, connection: Connection) -> None:
        """See that the hub's certificate has not ended, and learn from it.

        Raises:
            ConnectionClosed: It has.
        """
        certificate = connection.peer_certificate
        if certificate is None:
            return
        begin, end = validity(certificate)
        if end < self._clock.floor:
            reason = (
                f"the hub's certificate ended on {timestamp(end)}, and it is {timestamp(self._clock.floor)} at least"
            )
            await connection.close(CloseCode.POLICY_VIOLATION, reason)
            raise ConnectionClosed(CloseCode.ABNORMAL, reason)
        self._clock.learn(begin)


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
        context.verify_flags |= NO_CHECK_TIME
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot use the certificates in {folder.key.parent}: {error}; join again") from error
    return context


def _with_path(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=PATH)) if parts.path in ("", "/") else url
