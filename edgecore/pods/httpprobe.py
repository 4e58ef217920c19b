"""One HTTP/1.1 request, of whose answer only the head matters. The two halves are pure; :func:`fetch` joins them.

An edge device is spared an HTTP library for this: a probe sends no body, reads none and keeps no connection.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from functools import cache
from typing import Final

from edgecore.pods.probetargets import USER_AGENT, HttpTarget, authority
from protocol.errors import AiokubeedgeError

HEAD_BYTES: Final = 64 * 1024
"""The longest head of an answer that is read."""
_STATUS_LINE: Final = re.compile(r"HTTP/1\.[0-9] ([0-9]{3})(?: |$)")
_CHUNK_BYTES: Final = 16 * 1024


class AnswerMalformed(AiokubeedgeError):
    """What came back is no HTTP response."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is read of an answer.

    Attributes:
        status: The status code.
        location: The ``Location`` header, or empty.
    """

    status: int
    location: str = ""


def request(target: HttpTarget) -> bytes:
    """Return the request as it goes over the wire."""
    default_port = 443 if target.secure else 80
    host = authority(target.host, target.port)
    host = host if target.port != default_port else host.rpartition(":")[0]
    stated = {name.lower() for name, _ in target.headers}
    given = (("Host", host), ("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Connection", "close"))
    headers = [(name, value) for name, value in given if name.lower() not in stated]
    lines = [f"GET {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in [*headers, *target.headers])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


class HeadReader:
    """Finds the head of the final answer in what a server sends, however that is cut into pieces."""

    def __init__(self) -> None:
        self._data = bytearray()

    def receive(self, data: bytes) -> Head | None:
        """Take bytes; return the head once it is whole. Informational answers (1xx) are passed over.

        Raises:
            AnswerMalformed: This is no HTTP response, or its head is longer than :data:`HEAD_BYTES`.
        """
        self._data += data
        if not b"HTTP/".startswith(self._data[:5]) and not self._data.startswith(b"HTTP/"):
            raise AnswerMalformed(f"malformed HTTP response {bytes(self._data[:40])!r}")
        while (end := self._end()) is not None:
            head = _parse(bytes(self._data[: end[0]]))
            del self._data[: end[1]]
            if not 100 <= head.status < 200 or head.status == 101:
                return head
        if len(self._data) > HEAD_BYTES:
            raise AnswerMalformed(f"the head of the answer is longer than {HEAD_BYTES} bytes")
        return None

    def _end(self) -> tuple[int, int] | None:
        """Return where the first head ends, and where what follows it begins."""
        found = [(at, at + len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := self._data.find(mark)) >= 0]
        return min(found, default=None)


def _parse(head: bytes) -> Head:
    first, *lines = head.decode("latin-1").splitlines()
    match = _STATUS_LINE.match(first)
    if match is None:
        raise AnswerMalformed(f"malformed HTTP status line {first[:80]!r}")
    fields = (line.partition(":") for line in lines)
    location = next((value.strip() for name, _, value in fields if name.strip().lower() == "location"), "")
    return Head(int(match[1]), location)


async def fetch(target: HttpTarget) -> Head:
    """Send the request and return the head of the answer. The caller sets the time-out.

    Raises:
        OSError: The server cannot be reached, or breaks off.
        AnswerMalformed: It does not speak HTTP/1.
    """
    context = _unchecked() if target.secure else None
    reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    try:
        writer.write(request(target))
        heads = HeadReader()
        while data := await reader.read(_CHUNK_BYTES):
            head = heads.receive(data)
            if head is not None:
                return head
        raise ConnectionResetError(f"Get {target.url!r}: EOF")
    finally:
        # What is left to be sent or read interests nobody.
        writer.transport.abort()


@cache
def _unchecked() -> ssl.SSLContext:
    """Return a TLS context that takes any certificate: a probe asks whether the server answers, not who it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
