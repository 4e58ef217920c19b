"""A frame: its header, its codec, and the payload of its type. Only ``FrameError`` may come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from protocol import payloads
from protocol.compression import Codec
from protocol.errors import FrameError
from protocol.frames import MAX_PAYLOAD_BYTES, FrameType, decode_frame, encode_frame
from tests.fuzz.bounds import at_most

WIRE: Final = Path(__file__).parents[2] / "wire" / "frames.json"
FACTOR: Final = 64
"""A byte of msgpack costs at most this much: ``\\x91\\x90`` is a tuple in a tuple, over 50 bytes."""

Decode = Callable[[bytes | memoryview], Any]
READERS: Final[dict[FrameType, tuple[Decode, Callable[[Any], bytes]]]] = {
    FrameType.HELLO: (payloads.decode_hello, lambda read: payloads.encode_hello(*read)),
    FrameType.WELCOME: (payloads.decode_welcome, lambda read: payloads.encode_welcome(*read)),
    FrameType.ERROR: (payloads.decode_fault, payloads.encode_fault),
    FrameType.GOAWAY: (payloads.decode_number, payloads.encode_number),
    FrameType.PING: (payloads.decode_number, payloads.encode_number),
    FrameType.PONG: (payloads.decode_number, payloads.encode_number),
    FrameType.VOLATILE: (payloads.decode_volatile, lambda read: payloads.encode_volatile(*read)),
    FrameType.BATCH: (payloads.decode_batch, lambda read: payloads.encode_batch(*read[:3], timed=read[3])),
    FrameType.ACK: (payloads.decode_ack, payloads.encode_ack),
    FrameType.NACK: (payloads.decode_number, payloads.encode_number),
    FrameType.INVENTORY: (
        payloads.decode_inventory,
        lambda read: payloads.encode_inventory(read[0], read[1], read[3], last=read[2]),
    ),
}


def one_input(data: bytes) -> None:
    """Read ``data`` as a frame; what was read must read the same after it is written."""
    try:
        with at_most(len(data), 1, floor_bytes=2 * MAX_PAYLOAD_BYTES):
            frame = decode_frame(data)
        decode, encode = READERS[frame.type]
        with at_most(len(frame.payload), FACTOR):
            read = decode(frame.payload)
    except FrameError:
        return
    again = decode_frame(encode_frame(frame.type, frame.epoch, encode(read), Codec.ZSTD))
    assert again.epoch == frame.epoch
    assert decode(again.payload) == read


def seeds() -> Iterable[bytes]:
    """Return the golden frames."""
    return [bytes.fromhex(each["frame"]) for each in json.loads(WIRE.read_text()).values()]
