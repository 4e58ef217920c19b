"""The outermost layer of the wire: one frame is a header, then a payload that may be compressed.

::

    byte 0      frame type (low six bits) and codec (high two bits)
    bytes 1-4   low 32 bits of the session's epoch, big-endian; 0 until the epoch is known
    bytes 5-    payload: one msgpack array, compressed as the codec says

The transport delimits frames. See ``docs/protocol.md`` for the payloads.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from protocol.compression import NEWEST_DICTIONARY, Codec, compress, decompress
from protocol.errors import FrameError

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""No frame on the wire is longer; transports refuse one before reading it."""
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
"""No payload is longer once decompressed."""
MAX_BODY_BYTES = 3 * 1024 * 1024
"""No item's body is longer; Kubernetes' own limit for an object is about half of it."""
MAX_SMALL_BYTES = 4096
"""No payload is longer of a type that carries neither items nor verdicts nor an inventory."""
HEADER_BYTES = 5

_TYPE_BITS = 0x3F
_CODEC_SHIFT = 6


class FrameType(enum.IntEnum):
    """What a frame's payload is."""

    HELLO = 1
    WELCOME = 2
    ERROR = 3
    GOAWAY = 4
    PING = 5
    PONG = 6
    VOLATILE = 7
    BATCH = 8
    ACK = 9
    NACK = 10
    INVENTORY = 11


class CloseCode(enum.IntEnum):
    """Why a session ended. 1000 to 1015 are WebSocket's, 4000 to 4999 are free for applications."""

    NORMAL = 1000
    GOING_AWAY = 1001
    ABNORMAL = 1006
    POLICY_VIOLATION = 1008
    """Control frames and fragments without end."""
    MESSAGE_TOO_BIG = 1009

    MALFORMED_FRAME = 4000
    """Truncated, garbled, or of wrong types."""
    UNKNOWN_FRAME_TYPE = 4001
    FRAME_TOO_LARGE = 4002
    DECOMPRESSION_FAILED = 4003
    """A bomb, or bytes that the codec cannot read."""
    UNEXPECTED_FRAME = 4004
    """A known frame that may not come now."""
    UNKNOWN_VERSION = 4005
    STALE_EPOCH = 4006
    """The frame belongs to another session."""
    WINDOW_EXCEEDED = 4007
    """More was sent than the receiver granted."""
    BAD_ACK = 4008
    """The ack names what was never sent."""
    FLOOD = 4009
    """Too many frames that move nothing: pings, heartbeats, repeats."""

    HANDSHAKE_TIMEOUT = 4020
    DEAD_PEER = 4021
    """Nothing was heard for too long."""
    NOT_DELIVERED = 4022
    """A batch was lost more often than the retry policy allows."""
    SUPERSEDED = 4023
    """A newer session of this node took over."""

    UNAUTHORIZED = 4040
    """The certificate is not acceptable, or names another node."""
    UNKNOWN_NODE = 4041
    """There is no such node: it was deleted, or never joined."""
    OTHER_INSTANCE = 4042
    """A second live instance under one name."""
    REVOKED = 4043
    """The certificate was superseded by a later join."""
    TRY_LATER = 4044
    """The cloud is busy; come back after the time given."""


class Frame(NamedTuple):
    """A decoded header with its decompressed payload.

    Attributes:
        type: The frame's type.
        epoch: Low 32 bits of the session's epoch.
        payload: The msgpack bytes.
    """

    type: FrameType
    epoch: int
    payload: bytes | memoryview


_LARGE = frozenset({FrameType.BATCH, FrameType.ACK, FrameType.INVENTORY})
_TYPES: dict[int, FrameType] = {int(kind): kind for kind in FrameType}
_CODECS: dict[int, Codec] = {int(codec): codec for codec in Codec}


def encode_frame(
    kind: FrameType,
    epoch: int,
    payload: bytes,
    codec: Codec = Codec.NONE,
    *,
    level: int = 1,
    dictionary: int = NEWEST_DICTIONARY,
) -> bytes:
    """Return the wire bytes of a frame.

    A payload that the codec does not make shorter goes uncompressed.

    Args:
        kind: The frame's type.
        epoch: The session's epoch; its low 32 bits are sent.
        payload: One msgpack array.
        codec: How to compress it.
        level: Compression level, where the codec has levels.
        dictionary: Number of the dictionary, where the codec has one.
    """
    if codec is not Codec.NONE:
        squeezed = compress(codec, payload, level, dictionary)
        if len(squeezed) < len(payload):
            payload = squeezed
        else:
            codec = Codec.NONE
    return b"%c%b%b" % (kind | codec << _CODEC_SHIFT, (epoch & 0xFFFFFFFF).to_bytes(4, "big"), payload)


def codec_of(frame: bytes) -> Codec:
    """Return the codec of a frame made by :func:`encode_frame`."""
    return _CODECS[frame[0] >> _CODEC_SHIFT]


def decode_frame(data: bytes) -> Frame:
    """Return the frame that ``data`` holds.

    Raises:
        FrameError: It is too long, too short, of an unknown type, or does not decompress within
            :data:`MAX_PAYLOAD_BYTES` (:data:`MAX_SMALL_BYTES` for most types).
    """
    if len(data) > MAX_FRAME_BYTES:
        raise FrameError(CloseCode.FRAME_TOO_LARGE, f"frame of {len(data)} bytes, limit {MAX_FRAME_BYTES}")
    if len(data) < HEADER_BYTES:
        raise FrameError(CloseCode.MALFORMED_FRAME, f"frame of {len(data)} bytes has no whole header")
    kind = _TYPES.get(data[0] & _TYPE_BITS)
    if kind is None:
        raise FrameError(CloseCode.UNKNOWN_FRAME_TYPE, f"unknown frame type {data[0] & _TYPE_BITS}")
    codec = _CODECS[data[0] >> _CODEC_SHIFT]  # two bits, four codecs
    payload: bytes | memoryview = memoryview(data)[HEADER_BYTES:]
    limit_bytes = MAX_PAYLOAD_BYTES if kind in _LARGE else MAX_SMALL_BYTES
    if codec is not Codec.NONE:
        try:
            payload = decompress(codec, payload, limit_bytes)
        except ValueError as exc:
            raise FrameError(CloseCode.DECOMPRESSION_FAILED, str(exc)) from exc
    if len(payload) > limit_bytes:  # msgpack unfolds to many times its size: not what a few numbers need
        raise FrameError(CloseCode.FRAME_TOO_LARGE, f"{kind.name} of {len(payload)} bytes, limit {limit_bytes}")
    return Frame(kind, int.from_bytes(data[1:HEADER_BYTES], "big"), payload)
