"""HTTP/1.1 requests out of bytes, strictly (RFC 9112). Sans-IO.

What is ambiguous is refused: both lengths, folded headers, blanks before a colon, bare line feeds. A refusal ends the
connection, for what follows it cannot be told from the body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol.errors import AiokubeedgeError

MAX_HEAD_BYTES: Final = 16 * 1024
"""Request line and headers together; a service account's token takes one to two thousand bytes."""
MAX_HEADERS: Final = 64
MAX_BODY_BYTES: Final = 2 * 1024 * 1024
_MAX_CHUNK_LINE: Final = 256
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(rb"/[\x21-\x7e]*")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e]*)?")
_PHRASES: Final = {
    200: "OK", 201: "Created", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict",
    410: "Gone", 411: "Length Required", 413: "Content Too Large", 415: "Unsupported Media Type",
    417: "Expectation Failed", 422: "Unprocessable Content", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
}  # fmt: skip


class Malformed(AiokubeedgeError):
    """A request that cannot be read.

    Args:
        code: The HTTP code to answer with before the connection is closed.
        reason: One line for a person.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request.

    Attributes:
        method: In capitals.
        target: Path and query as sent.
        headers: By name in small letters; of a repeated one, all values joined with commas.
        body: Decoded of its chunks.
        keep_alive: Whether the client goes on with this connection.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


class RequestParser:
    """Reads one request after another. Feed it whatever came, then ask for requests until there is none.

    Args:
        max_body_bytes: No body is longer.
    """

    def __init__(self, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._max_body = max_body_bytes
        self._buffer = bytearray()
        self._head: Request | None = None
        self._left: int | None = None  # bytes that the body lacks; None where it comes in chunks
        self._body = bytearray()
        self._in_trailer = False
        self._trailer_bytes = 0

    @property
    def idle(self) -> bool:
        """Whether nothing of a next request has come."""
        return self._head is None and not self._buffer

    @property
    def wants_continue(self) -> bool:
        """Whether the client waits for ``100 Continue`` before it sends the body."""
        head = self._head
        return head is not None and not self._buffer and not self._body and "expect" in head.headers

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._buffer += data

    def next_request(self) -> Request | None:
        """Return the next whole request, or None while it lacks something.

        Raises:
            Malformed: The client does not speak HTTP/1.1, or asks for too much.
        """
        if self._head is None and not self._read_head():
            return None
        done = self._read_chunks() if self._left is None else self._read_plain(self._left)
        if not done:
            return None
        head, body = self._head, bytes(self._body)
        assert head is not None
        self._head, self._body = None, bytearray()
        return Request(head.method, head.target, head.headers, body, head.keep_alive)

    def _read_head(self) -> bool:
        if self._buffer[:2] == b"\r\n":
            del self._buffer[:2]  # RFC 9112, 2.2: an empty line before a request is passed over
        end = self._buffer.find(b"\r\n\r\n")
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._buffer) > MAX_HEAD_BYTES):
            raise Malformed(431, f"request line and headers are over {MAX_HEAD_BYTES} bytes")
        if end < 0:
            return False
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        method, target, minor = _request_line(first)
        headers = _headers(lines)
        if minor and "host" not in headers:
            raise Malformed(400, "there is no Host header")
        self._left = self._length(headers)
        self._in_trailer, self._trailer_bytes = False, 0
        tokens = {each.strip().lower() for each in headers.get("connection", "").split(",")}
        keep = "close" not in tokens and (minor == 1 or "keep-alive" in tokens)
        self._head = Request(method, target, headers, b"", keep)
        return True

    def _length(self, headers: Mapping[str, str]) -> int | None:
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if headers.get("expect", "100-continue").lower() != "100-continue":
            raise Malformed(417, "no such expectation is met here")
        if coding is not None:
            if length is not None:
                raise Malformed(400, "both Content-Length and Transfer-Encoding are given")
            if coding.lower() != "chunked":
                raise Malformed(501, "only the transfer coding chunked is known")
            return None
        if length is None:
            return 0
        if not (length.isascii() and length.isdigit() and len(length) <= 12):
            raise Malformed(400, "Content-Length is no number")
        if int(length) > self._max_body:
            raise Malformed(413, f"the body is over {self._max_body} bytes")
        return int(length)

    def _read_plain(self, left: int) -> bool:
        part = self._buffer[:left]
        del self._buffer[: len(part)]
        self._body += part
        self._left = left - len(part)
        return self._left == 0

    def _read_chunks(self) -> bool:
        while not self._in_trailer:
            line_end = self._buffer.find(b"\r\n")
            if line_end > _MAX_CHUNK_LINE or (line_end < 0 and len(self._buffer) > _MAX_CHUNK_LINE):
                raise Malformed(400, "the size of a chunk takes too long a line")
            if line_end < 0:
                return False
            found = _CHUNK.fullmatch(bytes(self._buffer[:line_end]))
            if found is None:
                raise Malformed(400, "a chunk has no size")
            size = int(found[1], 16)
            if len(self._body) + size > self._max_body:
                raise Malformed(413, f"the body is over {self._max_body} bytes")
            if size == 0:
                del self._buffer[: line_end + 2]
                self._in_trailer = True
                break
            end = line_end + 2 + size
            if len(self._buffer) < end + 2:
                return False
            if self._buffer[end : end + 2] != b"\r\n":
                raise Malformed(400, "a chunk is longer than it says")
            self._body += self._buffer[line_end + 2 : end]
            del self._buffer[: end + 2]
        return self._skip_trailer()

    def _skip_trailer(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n")
            if self._trailer_bytes + max(end, len(self._buffer) if end < 0 else 0) > MAX_HEAD_BYTES:
                raise Malformed(431, "the trailer is too long")
            if end < 0:
                return False
            del self._buffer[: end + 2]
            if end == 0:
                return True
            self._trailer_bytes += end


def _request_line(line: bytes) -> tuple[str, str, int]:
    parts = line.split(b" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or len(parts[0]) > 16:
        raise Malformed(400, "the request line is none")
    if parts[2] not in {b"HTTP/1.1", b"HTTP/1.0"}:
        raise Malformed(505, "only HTTP/1.1 is spoken here")
    if not _TARGET.fullmatch(parts[1]):
        raise Malformed(400, "the request's target is no path")
    return parts[0].decode(), parts[1].decode(), int(parts[2] == b"HTTP/1.1")


def _headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise Malformed(431, f"there are over {MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        raw, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(raw) or not _VALUE.fullmatch(value):
            raise Malformed(400, "a header is none")
        name, text = raw.decode().lower(), value.strip(b" \t").decode("latin-1")
        if name in headers and name in {"content-length", "host", "authorization", "transfer-encoding"}:
            raise Malformed(400, f"the header {name} is given twice")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def head(code: int, headers: Mapping[str, str]) -> bytes:
    """Return status line and headers of an answer."""
    lines = [f"HTTP/1.1 {code} {_PHRASES.get(code, 'Unknown')}", *(f"{name}: {text}" for name, text in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk of a body; empty data ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
