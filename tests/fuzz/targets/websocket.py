"""The WebSocket's bytes after the handshake, either side, cut anywhere. Nothing may come; it ends with a code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocol.frames import MAX_FRAME_BYTES
from protocol.transports.websocketframing import WebSocketFraming
from tests.fuzz.bounds import at_most

FACTOR: Final = 64


def one_input(data: bytes) -> None:
    """Take ``data`` whole and in pieces, whose size the first byte says; the messages are the same."""
    if not data:
        return
    client, size, stream = bool(data[0] & 1), 1 + (data[0] >> 1), data[1:]
    whole, cut = WebSocketFraming(client=client), WebSocketFraming(client=client)
    with at_most(len(stream), FACTOR):
        messages = whole.receive(stream)
        in_pieces = [each for at in range(0, len(stream), size) for each in cut.receive(stream[at : at + size])]
    assert messages == in_pieces
    assert all(len(message) <= MAX_FRAME_BYTES for message in messages)
    assert whole.closing == cut.closing
    for side in (whole, cut):
        side.data_to_send()
        side.receive_eof()
        side.data_to_send()
        assert side.ending.code


def seeds() -> Iterable[bytes]:
    """Return streams with messages, fragments, text, control frames and violations."""
    for client in (0, 1):
        peer = WebSocketFraming(client=not client)
        stream = peer.encode([b"", b"frame", bytes(200), bytes(700)])
        for how in (client, client | 6, client | 0xFE):
            yield bytes([how]) + stream[:300]
            yield bytes([how]) + stream
    yield b"\x01" + b"\x02\x01a" + b"\x89\x01p" + b"\x00\x00" + b"\x80\x01b" + b"\x81\x02hi" + b"\x88\x02\x03\xe8"
    yield b"\x01" + b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"
    yield b"\x01" + b"\x89\x00" * 1100
