"""One side's WebSocket framing after the handshake, sans-IO: messages in, bytes out, and the other way round.

Nearly every message here is one binary frame, made or taken apart by the dozen lines of this module. Whatever else may
come (control frames, fragments, violations, the closing handshake) goes, frame by frame, through the library's own
protocol, which exists only from the first such frame on: an ordinary connection never has one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain

from websockets.frames import CTRL_OPCODES, Frame
from websockets.protocol import Protocol, State
from websockets.protocol import Side as LibrarySide

from protocol.errors import ConnectionClosed
from protocol.frames import MAX_FRAME_BYTES, CloseCode

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover - a platform without a compiled build
    from websockets.utils import apply_mask

_WHOLE_BINARY = 0x82  # RFC 6455 §5.2: FIN, opcode 2
_OPCODES = frozenset({0, 1, 2, 8, 9, 10})
_MASKED = 0x80
_MASK_BYTES = 4
_FAILURES = frozenset({1002, 1007, CloseCode.POLICY_VIOLATION, CloseCode.MESSAGE_TOO_BIG})
"""Codes with which a connection ends whose peer broke the protocol."""

MAX_ODD_FRAMES = 1024
"""Control frames and fragments that may come in a row, more or less; each is ten times the work of a whole message.
Each whole message makes up for one."""


class WebSocketFraming:
    """Both directions of one open WebSocket.

    After :meth:`receive`, :meth:`receive_eof` and :meth:`close` the driver writes out :meth:`data_to_send` and looks
    at :attr:`closing`.

    Args:
        client: Whether this side masks what it sends (RFC 6455 §5.1); the other does not.
    """

    __slots__ = ("_client", "_library", "_message", "_odd", "_partial")

    def __init__(self, *, client: bool) -> None:
        self._client = client
        self._partial: bytearray | None = None
        self._message: bytearray | None = None
        self._odd = 0
        self._library: Protocol | None = None

    @property
    def closing(self) -> bool:
        """Whether a close frame was sent or received, or the peer violated the protocol."""
        return self._library is not None and self._library.state is not State.OPEN

    @property
    def heard_out(self) -> bool:
        """Whether the peer's close frame has come: nothing follows it."""
        return self._library is not None and self._library.close_rcvd is not None

    def encode(self, messages: Sequence[bytes]) -> bytes:
        """Return the bytes of ``messages``, each a whole binary frame."""
        if not self._client:
            return b"".join(chain.from_iterable((_header(len(message), 0), message) for message in messages))
        parts: list[bytes] = []
        for message in messages:
            mask = os.urandom(_MASK_BYTES)
            parts += _header(len(message), _MASKED), mask, apply_mask(message, mask)
        return b"".join(parts)

    def receive(self, data: bytes | memoryview) -> list[bytes]:
        """Take bytes from the network and return the messages they complete; ``data`` is not kept."""
        if self.closing:
            self._feed(data)  # messages behind a close frame are nobody's any more (RFC 6455 §1.4)
            return []
        partial = self._partial
        if partial is not None:
            partial += data
            data = memoryview(partial)
        messages: list[bytes] = []
        taken = self._take(data, messages)
        rest = bytearray(data[taken:]) if taken < len(data) else None
        self._partial = rest if partial is None or taken else partial
        if self._odd:
            self._odd -= min(self._odd, len(messages))
        return messages

    def receive_eof(self) -> None:
        """Take note that the peer will send nothing more."""
        library = self._protocol()
        if not library.reader.eof:
            library.receive_eof()

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; nothing may be encoded afterwards."""
        if not self.closing:
            self._protocol().send_close(code, reason)

    def data_to_send(self) -> tuple[bytes, bool]:
        """Return what the protocol itself wants sent, and whether this side's stream ends with it."""
        if self._library is None:
            return b"", False
        writes = self._library.data_to_send()
        return b"".join(writes), b"" in writes

    @property
    def ending(self) -> ConnectionClosed:
        """How the connection ended, once it is closed: who said so first decides code and reason."""
        library = self._library
        received, sent = (library.close_rcvd, library.close_sent) if library is not None else (None, None)
        if received is not None and (sent is None or (library is not None and library.close_rcvd_then_sent)):
            return ConnectionClosed(received.code, received.reason or "closed by the peer")
        if sent is not None and received is not None:
            return ConnectionClosed(sent.code, sent.reason or "closed here")
        if sent is not None and sent.code in _FAILURES:
            return ConnectionClosed(sent.code, sent.reason or "the peer broke the WebSocket protocol")
        return ConnectionClosed(CloseCode.ABNORMAL, "the connection was lost")

    def _take(self, data: bytes | memoryview, messages: list[bytes]) -> int:
        """Take the whole frames at the beginning of ``data``; return how many bytes that were."""
        at, end = 0, len(data)
        mask_bytes, mask_bit = (0, 0) if self._client else (_MASK_BYTES, _MASKED)
        limit = MAX_FRAME_BYTES - (len(self._message) if self._message is not None else 0)
        while end - at >= 2:
            first, second = data[at], data[at + 1]
            length = second & 0x7F
            body = at + 2
            if length > 125:
                body += 2 if length == 126 else 8
                length = int.from_bytes(data[at + 2 : body], "big") if body <= end else 0
            if length > limit or second & _MASKED != mask_bit or first & 0x0F not in _OPCODES:
                self._feed(data[at:])  # a violation, and the end: the library finds the code for it
                return end
            body += mask_bytes
            stop = body + length
            if stop > end:
                break
            if first == _WHOLE_BINARY and self._message is None:
                content = data[body:stop]
                messages.append(apply_mask(content, bytes(data[body - 4 : body])) if mask_bytes else bytes(content))
            else:
                self._take_odd(data[at:stop], messages)
                if self.closing:
                    self._feed(data[stop:])
                    return end
                limit = MAX_FRAME_BYTES - (len(self._message) if self._message is not None else 0)
            at = stop
        return at

    def _take_odd(self, frame: bytes | memoryview, messages: list[bytes]) -> None:
        library = self._protocol()
        self._odd += 1
        if self._odd > MAX_ODD_FRAMES:
            library.fail(CloseCode.POLICY_VIOLATION, "too many control frames and fragments")
            return
        library.receive_data(bytes(frame))
        for event in library.events_received():
            if not isinstance(event, Frame) or event.opcode in CTRL_OPCODES:
                continue
            # Fragments are joined at once: a flood of empty ones must not grow a list.
            self._message = self._message if self._message is not None else bytearray()
            self._message += event.data
            if event.fin:
                messages.append(bytes(self._message))
                self._message = None

    def _feed(self, data: bytes | memoryview) -> None:
        library = self._protocol()
        if data and not library.reader.eof:
            library.receive_data(bytes(data))
            library.events_received()

    def _protocol(self) -> Protocol:
        if self._library is None:
            side = LibrarySide.CLIENT if self._client else LibrarySide.SERVER
            self._library = Protocol(side, max_size=MAX_FRAME_BYTES)
        return self._library


def _header(length: int, mask: int) -> bytes:
    if length < 126:
        return bytes((_WHOLE_BINARY, mask | length))
    if length < 1 << 16:
        return bytes((_WHOLE_BINARY, mask | 126)) + length.to_bytes(2, "big")
    return bytes((_WHOLE_BINARY, mask | 127)) + length.to_bytes(8, "big")
