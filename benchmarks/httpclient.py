"""A keep-alive HTTP/1.1 client written by hand: on two cores a heavier one would measure itself."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from protocol.objects.keys import Body


class Client:
    """One keep-alive connection.

    Args:
        reader: Its reading half.
        writer: Its writing half.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self, method: str, path: str, body: bytes = b"") -> int:
        """Send a request, read the whole answer, return its status."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Accept: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lowered = answer.lower()
        start = lowered.find(b"content-length: ") + 16
        if start > 15:  # found
            await self._reader.readexactly(int(lowered[start : lowered.index(b"\r\n", start)]))
        else:
            await self._read_chunks()
        return int(answer[9:12])

    async def _read_chunks(self) -> None:
        while True:
            size = int(await self._reader.readline(), 16)
            await self._reader.readexactly(size + 2)
            if not size:
                return

    async def watch(self, path: str) -> int:
        """Begin a watch; the connection is good for nothing else afterwards. Return the answer's status."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".encode())
        return int((await self._reader.readuntil(b"\r\n\r\n"))[9:12])

    async def events(self, count: int) -> None:
        """Wait until ``count`` more changes have come on a watch."""
        seen = 0
        while seen < count:
            line = await self._reader.readline()
            if not line:
                raise SystemExit("the watch ended")
            seen += line.count(b'{"type":"MODIFIED"')

    async def send(self, method: str, path: str, body: Body) -> None:
        """Send a write that must succeed."""
        status = await self.request(method, path, json.dumps(body).encode())
        if status not in (200, 201):
            raise SystemExit(f"{method} {path}: {status}")

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


def _credentials(kubeconfig: Path) -> tuple[ssl.SSLContext, str]:
    content = yaml.safe_load(kubeconfig.read_text())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode("ascii"))
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pem.flush()
        tls.load_cert_chain(pem.name)
    return tls, str(cluster["server"])


async def open_clients(kubeconfig: Path, count: int) -> list[Client]:
    """Return ``count`` connections with the rights of ``kubeconfig``'s user."""
    tls, url = _credentials(kubeconfig)
    server = urlsplit(url)
    pairs = [await asyncio.open_connection(server.hostname, server.port, ssl=tls) for _ in range(count)]
    return [Client(*pair) for pair in pairs]
