"""Compression of frame payloads, bounded in both directions.

Compressors are shared by the whole process (each costs over 100 KB) and belong to one thread, that of the event
loop; another thread gets its own.
"""

from __future__ import annotations

import enum
import threading
from functools import cache
from importlib.util import find_spec

import zstandard


class Codec(enum.IntEnum):
    """How a payload is compressed; the number stands in the frame's header."""

    NONE = 0
    ZSTD = 1
    SNAPPY = 2


_Buffer = bytes | memoryview
_local = threading.local()


@cache  # each handshake asks, and looking for a package searches the whole path
def available() -> frozenset[Codec]:
    """Return the codecs this process can read and write; snappy needs the ``cramjam`` package."""
    found = {Codec.NONE, Codec.ZSTD}
    if find_spec("cramjam") is not None:
        found.add(Codec.SNAPPY)
    return frozenset(found)


def compress(codec: Codec, data: bytes, level: int = 1) -> bytes:
    """Return ``data`` compressed; ``level`` is zstd's."""
    if codec is Codec.ZSTD:
        return _zstd_compressor(level).compress(data)
    if codec is Codec.SNAPPY:
        import cramjam  # noqa: PLC0415 - optional; loaded by those who choose snappy

        return bytes(cramjam.snappy.compress_raw(data))
    return data


def decompress(codec: Codec, data: _Buffer, limit_bytes: int) -> bytes:
    """Return ``data`` decompressed.

    Both formats state the decompressed size up front: it is checked before anything is allocated, so that a bomb
    costs nothing.

    Raises:
        ValueError: The bytes are not what the codec says, or would grow beyond ``limit_bytes``.
    """
    if codec is Codec.ZSTD:
        return _zstd_decompress(data, limit_bytes)
    if codec is Codec.SNAPPY:
        return _snappy_decompress(data, limit_bytes)
    return bytes(data)


def _zstd_compressor(level: int) -> zstandard.ZstdCompressor:
    compressors: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault("compressors", {})
    if level not in compressors:
        compressors[level] = zstandard.ZstdCompressor(level=level)
    return compressors[level]


def _zstd_decompressor() -> zstandard.ZstdDecompressor:
    if "decompressor" not in _local.__dict__:
        _local.decompressor = zstandard.ZstdDecompressor()
    decompressor: zstandard.ZstdDecompressor = _local.decompressor
    return decompressor


def _zstd_decompress(data: _Buffer, limit_bytes: int) -> bytes:
    try:
        size = zstandard.frame_content_size(data)
        if size < 0:
            raise ValueError("zstd frame does not state its size")
        if size > limit_bytes:
            raise ValueError(f"zstd frame of {size} bytes, limit {limit_bytes}")
        plain = _zstd_decompressor().decompress(data, max_output_size=limit_bytes, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise ValueError(f"not a zstd frame: {exc}") from exc
    return bytes(plain)


def _snappy_decompress(data: _Buffer, limit_bytes: int) -> bytes:
    try:
        import cramjam  # noqa: PLC0415 - optional; loaded when a peer sends snappy
    except ImportError as exc:
        raise ValueError("snappy is not installed here") from exc
    try:
        size = int(cramjam.snappy.decompress_raw_len(data))
        if size > limit_bytes:
            raise ValueError(f"snappy block of {size} bytes, limit {limit_bytes}")
        return bytes(cramjam.snappy.decompress_raw(data))
    except cramjam.DecompressionError as exc:
        raise ValueError(f"not a snappy block: {exc}") from exc
