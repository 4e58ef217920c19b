"""The client's side of one ``grpc.health.v1.Health/Check`` call over cleartext HTTP/2, as a probe needs it. Sans-IO.

An edge device is spared an HTTP/2 library for one call with one answer. Requests use header fields without indexing
or Huffman coding, which every server must take (RFC 7541, section 6.2.2). Of the answer the message is read, which
says all there is to know, and of its headers nothing: a server that answers without a message has not said that it
serves. Frames: RFC 9113, section 4; gRPC over HTTP/2: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import enum
from typing import Final

from edgecore.pods.probetargets import USER_AGENT
from protocol.errors import AiokubeedgeError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ANSWER_BYTES: Final = 16 * 1024
"""The longest answer that is read, and the longest frame: HTTP/2's default, which is not raised."""
_HEADER_BYTES: Final = 9
_STREAM: Final = 1
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_ACK, _END_STREAM, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8


class AnswerMalformed(AiokubeedgeError):
    """What came back is no HTTP/2, or no health status."""


class Health(enum.IntEnum):
    """``HealthCheckResponse.ServingStatus``."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def request(service: str, authority: str) -> bytes:
    """Return all that the client sends before it hears anything.

    Args:
        service: The service asked for; empty asks for the server as a whole.
        authority: ``host:port``.
    """
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("user-agent", USER_AGENT),
        ("te", "trailers"),
    ]
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return (
        PREFACE
        + _frame(_SETTINGS, 0, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, _STREAM, b"".join(_field(*header) for header in headers))
        + _frame(_DATA, _END_STREAM, _STREAM, b"\0" + len(message).to_bytes(4, "big") + message)
    )


class Check:
    """Reads the answer, however it is cut into pieces."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._message = bytearray()
        self._to_send = bytearray()

    def receive(self, data: bytes) -> Health | None:
        """Take bytes; return the health once it is told.

        Raises:
            AnswerMalformed: The server ended the call without telling, or does not speak HTTP/2.
        """
        self._data += data
        while (frame := self._next()) is not None:
            kind, flags, stream, payload = frame
            health = self._take(kind, flags, payload) if stream in (0, _STREAM) else None
            if health is not None:
                return health
        return None

    def data_to_send(self) -> bytes:
        """Return what the server is owed: acknowledgements."""
        out = bytes(self._to_send)
        self._to_send.clear()
        return out

    def _next(self) -> tuple[int, int, int, bytes] | None:
        if len(self._data) < _HEADER_BYTES:
            return None
        size = int.from_bytes(self._data[:3], "big")
        if size > ANSWER_BYTES:
            raise AnswerMalformed(f"a frame of {size} bytes: the server does not speak HTTP/2")
        if len(self._data) < _HEADER_BYTES + size:
            return None
        kind, flags = self._data[3], self._data[4]
        stream = int.from_bytes(self._data[5:9], "big") & 0x7FFFFFFF
        payload = bytes(self._data[_HEADER_BYTES : _HEADER_BYTES + size])
        del self._data[: _HEADER_BYTES + size]
        return kind, flags, stream, payload

    def _take(self, kind: int, flags: int, payload: bytes) -> Health | None:
        if kind == _SETTINGS and not flags & _ACK:
            self._to_send += _frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            self._to_send += _frame(_PING, _ACK, 0, payload)
        elif kind == _DATA:
            self._message += _unpadded(flags, payload)
            if len(self._message) > ANSWER_BYTES:
                raise AnswerMalformed("the answer is longer than a health status can be")
            health = _health(bytes(self._message))
            if health is not None:
                return health
        if kind in (_RESET, _GOAWAY) or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
            why = "the service is unknown to the server, or it does not implement grpc.health.v1.Health"
            raise AnswerMalformed(f"no health status: {why}")
        return None


def _health(data: bytes) -> Health | None:
    """Return the health in a length-prefixed message, or None while that is not whole."""
    if len(data) < 5 or len(data) < 5 + int.from_bytes(data[1:5], "big"):
        return None
    if data[0]:
        raise AnswerMalformed("the answer is compressed, which was not offered")
    message = data[5 : 5 + int.from_bytes(data[1:5], "big")]
    health = Health.UNKNOWN  # The default of a field that is left out.
    # The message has one field, a varint: its tag is 0x08.
    for tag, value in zip(message[::2], message[1::2], strict=False):
        if tag != 0x08 or value not in Health._value2member_map_:
            raise AnswerMalformed(f"not a health status: {message[:32]!r}")
        health = Health(value)
    return health


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise AnswerMalformed("a frame is padded beyond its end")
    return payload[1 : len(payload) - payload[0]]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _field(name: str, value: str) -> bytes:
    """Return a literal header field without indexing (RFC 7541, section 6.2.2), not Huffman-coded."""
    return b"\0" + _text(name.encode()) + _text(value.encode())


def _text(data: bytes) -> bytes:
    """Return a string literal: its length in a 7-bit prefix (RFC 7541, section 5.1), then itself."""
    if len(data) < 127:
        return bytes((len(data),)) + data
    return b"\x7f" + _varint(len(data) - 127) + data


def _varint(number: int) -> bytes:
    """Return a number in groups of 7 bits, the lowest first, as both HPACK and protobuf write it."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
