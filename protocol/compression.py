"""Compression of frame payloads, bounded in both directions.

Compressors are shared by the whole process (each costs over 100 KB) and belong to one thread, that of the event
loop; another thread gets its own. Those with a dictionary are made on first use.
"""

from __future__ import annotations

import enum
import threading
from functools import cache
from importlib.util import find_spec
from typing import Final

import zstandard

from protocol.dictionaries import KNOWN, dictionary_bytes


class Codec(enum.IntEnum):
    """How a payload is compressed; the number stands in the frame's header."""

    NONE = 0
    ZSTD = 1
    SNAPPY = 2
    ZSTD_DICTIONARY = 3
    """zstd with a built-in dictionary, which the zstd frame names; for peers that have said they have it."""


NEWEST_DICTIONARY: Final = max(KNOWN)

_Buffer = bytes | memoryview
_local = threading.local()


@cache  # each handshake asks, and looking for a package searches the whole path
def available() -> frozenset[Codec]:
    """Return the codecs this process can read and write; snappy needs the ``cramjam`` package."""
    found = {Codec.NONE, Codec.ZSTD, Codec.ZSTD_DICTIONARY}
    if find_spec("cramjam") is not None:
        found.add(Codec.SNAPPY)
    return frozenset(found)


def compress(codec: Codec, data: bytes, level: int = 1, dictionary: int = NEWEST_DICTIONARY) -> bytes:
    """Return ``data`` compressed; ``level`` and the number of the ``dictionary`` are for zstd."""
    if codec is Codec.ZSTD:
        return _zstd_compressor(level, 0).compress(data)
    if codec is Codec.ZSTD_DICTIONARY:
        return _zstd_compressor(level, dictionary).compress(data)
    if codec is Codec.SNAPPY:
        import cramjam  # noqa: PLC0415 - optional; loaded by those who choose snappy

        return bytes(cramjam.snappy.compress_raw(data))
    return data


def decompress(codec: Codec, data: _Buffer, limit_bytes: int) -> bytes:
    """Return ``data`` decompressed.

    All formats state the decompressed size up front: it is checked before anything is allocated, so that a bomb
    costs nothing.

    Raises:
        ValueError: The bytes are not what the codec says, or would grow beyond ``limit_bytes``.
    """
    if codec is Codec.ZSTD:
        return _zstd_decompress(data, limit_bytes, 0)
    if codec is Codec.ZSTD_DICTIONARY:
        return _zstd_decompress(data, limit_bytes, _dictionary_of(data))
    if codec is Codec.SNAPPY:
        return _snappy_decompress(data, limit_bytes)
    return bytes(data)


def _zstd_compressor(level: int, dictionary: int) -> zstandard.ZstdCompressor:
    """Return this thread's compressor; ``dictionary`` 0 stands for none."""
    compressors: dict[tuple[int, int], zstandard.ZstdCompressor] = _local.__dict__.setdefault("compressors", {})
    compressor = compressors.get((level, dictionary))
    if compressor is None:
        of: zstandard.ZstdCompressionDict | None = None
        if dictionary:
            of = zstandard.ZstdCompressionDict(dictionary_bytes(dictionary))
            of.precompute_compress(level=level)
        compressor = compressors[level, dictionary] = zstandard.ZstdCompressor(level=level, dict_data=of)
    return compressor


def _zstd_decompressor(dictionary: int) -> zstandard.ZstdDecompressor:
    decompressors: dict[int, zstandard.ZstdDecompressor] = _local.__dict__.setdefault("decompressors", {})
    decompressor = decompressors.get(dictionary)
    if decompressor is None:
        of = zstandard.ZstdCompressionDict(dictionary_bytes(dictionary)) if dictionary else None
        decompressor = decompressors[dictionary] = zstandard.ZstdDecompressor(dict_data=of)
    return decompressor


def _dictionary_of(data: _Buffer) -> int:
    """Return the number of the dictionary that a zstd frame names.

    Raises:
        ValueError: It is no zstd frame, or names none that is known here.
    """
    try:
        number = int(zstandard.get_frame_parameters(data).dict_id)
    except zstandard.ZstdError as exc:
        raise ValueError(f"not a zstd frame: {exc}") from exc
    if number not in KNOWN:
        raise ValueError(f"zstd frame with dictionary {number}, which is not known here")
    return number


def _zstd_decompress(data: _Buffer, limit_bytes: int, dictionary: int) -> bytes:
    try:
        size = zstandard.frame_content_size(data)
        if size < 0:
            raise ValueError("zstd frame does not state its size")
        if size > limit_bytes:
            raise ValueError(f"zstd frame of {size} bytes, limit {limit_bytes}")
        plain = _zstd_decompressor(dictionary).decompress(data, max_output_size=limit_bytes, allow_extra_data=False)
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
