from __future__ import annotations

import hashlib
import sys
import threading

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.compression import Codec, available, compress, decompress
from protocol.dictionaries import FIRST_ID, KNOWN, dictionary_bytes

SHORT = msgpack.packb(
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2026-03-01T12:00:00Z"},
        "data": {"greeting": "hello"},
    }
)


@pytest.mark.parametrize("codec", list(Codec))
@given(data=st.binary(max_size=5000))
def test_round_trip(codec: Codec, data: bytes) -> None:
    assert decompress(codec, memoryview(compress(codec, data)), 5000) == data


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.SNAPPY, Codec.ZSTD_DICTIONARY])
def test_the_limit_is_exact(codec: Codec) -> None:
    packed = compress(codec, bytes(100))
    assert decompress(codec, packed, 100) == bytes(100)
    with pytest.raises(ValueError, match="limit 99"):
        decompress(codec, packed, 99)


def test_a_process_without_snappy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available() == frozenset(Codec)
    packed = compress(Codec.SNAPPY, bytes(100))
    monkeypatch.setitem(sys.modules, "cramjam", None)
    monkeypatch.setattr("protocol.compression.find_spec", lambda name: None)
    available.cache_clear()
    try:
        assert available() == {Codec.NONE, Codec.ZSTD, Codec.ZSTD_DICTIONARY}
    finally:
        available.cache_clear()
    with pytest.raises(ValueError, match="not installed"):
        decompress(Codec.SNAPPY, packed, 100)


def test_a_released_dictionary_never_changes() -> None:
    digests = {number: hashlib.sha256(dictionary_bytes(number)).hexdigest() for number in KNOWN}
    assert digests == {FIRST_ID: "22c6a99ed9d0a4e8774e6b08b3cff7406a3469677ede4d8faba64453fb08e1cf"}
    packed = bytes.fromhex(
        "28b52ffd22419c7f9d01004382077b9afe0d28441b7dfd57518a0cfc727ce2466b99d632cfc1fb733c81060106fc80726a433955d58e5910459331a38d10"
    )
    assert decompress(Codec.ZSTD_DICTIONARY, packed, 1000) == SHORT


def test_a_dictionary_makes_short_bodies_much_shorter() -> None:
    assert len(compress(Codec.ZSTD_DICTIONARY, SHORT)) < 0.6 * len(compress(Codec.ZSTD, SHORT))


def test_a_bomb_with_a_dictionary_is_refused_unopened() -> None:
    packed = compress(Codec.ZSTD_DICTIONARY, bytes(100_000_000))
    assert len(packed) < 20_000
    with pytest.raises(ValueError, match="of 100000000 bytes, limit 4194304"):
        decompress(Codec.ZSTD_DICTIONARY, packed, 4 << 20)


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (compress(Codec.ZSTD, SHORT), "dictionary 0, which is not known"),
        (b"\x28\xb5\x2f\xfd\x23\xff\xff\x00\x00\x05\x29\x00\x00short", "dictionary 65535, which is not known"),
        (b"no zstd", "not a zstd frame"),
        (compress(Codec.ZSTD_DICTIONARY, SHORT)[:-3], "not a zstd frame"),
    ],
)
def test_a_frame_of_another_dictionary_is_refused(packed: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decompress(Codec.ZSTD_DICTIONARY, packed, 5000)


def test_a_frame_with_a_dictionary_is_not_read_as_one_without() -> None:
    with pytest.raises(ValueError, match="not a zstd frame"):
        decompress(Codec.ZSTD, compress(Codec.ZSTD_DICTIONARY, SHORT), 5000)


def test_another_thread_has_compressors_of_its_own() -> None:
    results: list[bytes] = []
    thread = threading.Thread(target=lambda: results.append(compress(Codec.ZSTD, bytes(2000))))
    thread.start()
    thread.join()
    assert decompress(Codec.ZSTD, results[0], 2000) == bytes(2000)
