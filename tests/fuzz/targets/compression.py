"""Decompression by each codec, under a limit. Only ``ValueError`` may come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocol.compression import Codec, available, compress, decompress
from tests.fuzz.bounds import at_most

LIMIT_BYTES: Final = 256 * 1024
CODECS: Final = tuple(Codec)


def one_input(data: bytes) -> None:
    """Decompress ``data``, whose first byte chooses the codec; then compress it and get it back."""
    codec = CODECS[data[0] % len(CODECS)] if data else Codec.NONE
    if codec not in available():
        return
    packed = data[1:]
    try:
        with at_most(LIMIT_BYTES + len(data), 2):
            plain = decompress(codec, packed, LIMIT_BYTES)
        assert len(plain) <= LIMIT_BYTES or codec is Codec.NONE
    except ValueError:
        pass
    assert decompress(codec, compress(codec, packed), len(packed)) == packed


def seeds() -> Iterable[bytes]:
    """Return something of each codec, and bombs."""
    for codec in available():
        for plain in (b"", b"pod" * 100, bytes(LIMIT_BYTES), bytes(LIMIT_BYTES + 1)):
            yield bytes([codec]) + compress(codec, plain)
