from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.heartbeat import FULL_EVERY, HeartbeatDecoder, HeartbeatEncoder, HeartbeatError, Load

BUSY = Load(cpu=512, memory=730, disk=100, rx_bytes_s=125_000, tx_bytes_s=40_000, pods=7)

loads = st.builds(Load, *[st.integers(0, 1000)] * 3, *[st.integers(0, 2**40)] * 2, st.integers(0, 500))


def test_the_first_heartbeat_tells_everything() -> None:
    assert HeartbeatDecoder().decode(HeartbeatEncoder().encode(BUSY)) == BUSY


def test_an_idle_nodes_heartbeat_is_one_byte() -> None:
    encoder = HeartbeatEncoder()
    encoder.encode(BUSY)
    assert len(encoder.encode(BUSY)) == 1


def test_noise_is_not_sent() -> None:
    encoder = HeartbeatEncoder()
    encoder.encode(BUSY)
    assert msgpack.unpackb(encoder.encode(Load(521, 725, 100, 130_000, 40_000, 7)), strict_map_key=False) == {}


def test_slow_drift_is_sent_once_it_adds_up() -> None:
    encoder, decoder = HeartbeatEncoder(), HeartbeatDecoder()
    for cpu in range(0, 100, 4):
        decoder.decode(encoder.encode(Load(cpu=cpu)))
    assert abs(decoder.load.cpu - 96) < 10


def test_a_reader_that_missed_some_is_right_again_after_a_full_one() -> None:
    encoder, decoder = HeartbeatEncoder(), HeartbeatDecoder()
    bodies = [encoder.encode(BUSY) for _ in range(FULL_EVERY + 1)]
    for body in bodies[1:]:
        decoder.decode(body)
    assert decoder.load == BUSY


@given(st.lists(loads, min_size=1))
def test_what_is_read_is_never_far_from_what_is(samples: list[Load]) -> None:
    encoder, decoder = HeartbeatEncoder(), HeartbeatDecoder()
    for load in samples:
        read = decoder.decode(encoder.encode(load))
        assert abs(read.cpu - load.cpu) < 10
        assert read.pods == load.pods or abs(read.pods - load.pods) <= read.pods / 8


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x93\x01\x02\x03", msgpack.packb({0: -1}), msgpack.packb({0: 1.5}), msgpack.packb({"cpu": 1})],
)
def test_a_malformed_heartbeat_is_refused_and_changes_nothing(body: bytes) -> None:
    decoder = HeartbeatDecoder()
    decoder.decode(HeartbeatEncoder().encode(BUSY))
    with pytest.raises(HeartbeatError):
        decoder.decode(body)
    assert decoder.load == BUSY


def test_fields_of_a_later_version_are_ignored() -> None:
    assert HeartbeatDecoder().decode(msgpack.packb({0: 10, 99: 1})) == Load(cpu=10)


@given(st.binary(max_size=64))
def test_bytes_are_read_into_a_load_or_refused_without_a_trace(body: bytes) -> None:
    decoder = HeartbeatDecoder()
    before = decoder.load
    try:
        load = decoder.decode(body)
    except HeartbeatError:
        load = before
    assert decoder.load == load
    assert HeartbeatDecoder().decode(HeartbeatEncoder().encode(load)) == load
