from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.compression import Codec, available, compress, decompress


@pytest.mark.parametrize("codec", list(Codec))
@given(data=st.binary(max_size=5000))
def test_round_trip(codec: Codec, data: bytes) -> None:
    assert decompress(codec, memoryview(compress(codec, data)), 5000) == data


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.SNAPPY])
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
        assert available() == {Codec.NONE, Codec.ZSTD}
    finally:
        available.cache_clear()
    with pytest.raises(ValueError, match="not installed"):
        decompress(Codec.SNAPPY, packed, 100)


def test_another_thread_has_compressors_of_its_own() -> None:
    results: list[bytes] = []
    thread = threading.Thread(target=lambda: results.append(compress(Codec.ZSTD, bytes(2000))))
    thread.start()
    thread.join()
    assert decompress(Codec.ZSTD, results[0], 2000) == bytes(2000)
