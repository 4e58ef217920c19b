from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.heartbeat import FULL_EVERY, HeartbeatDecoder, HeartbeatEncoder, HeartbeatError, Load
from protocol.objects.keys import Uid
from protocol.samples import (
    FORGET_AFTER,
    MAX_AT_ONCE,
    MAX_READINGS,
    READINGS_FROM,
    RESTATE_EVERY,
    Metric,
    ReadingTable,
    ReadingTeller,
    reading_field,
)

UID = Uid("4c1f0a70-0000-4000-8000-000000000001")
CPU = reading_field(UID, "web", Metric.CPU)
fields_ = st.integers(0, 400).map(lambda number: READINGS_FROM + number)


def many(count: int, value: int = 7) -> dict[int, int]:
    return {READINGS_FROM + 8 * number: value for number in range(count)}


def test_a_reading_has_the_same_number_everywhere() -> None:
    assert CPU == 2153275888
    assert reading_field(UID, "web", Metric.MEMORY) == CPU + 1
    assert READINGS_FROM <= reading_field(UID, "", Metric.GPU) < 2 * READINGS_FROM


@given(st.text(), st.text(), st.sampled_from(Metric))
def test_every_reading_is_far_above_the_nodes_own_fields(uid: str, container: str, metric: Metric) -> None:
    field = reading_field(Uid(uid), container, metric)
    assert READINGS_FROM <= field < 1 << 32
    assert field & 7 == metric


def test_noise_is_not_told_and_drift_is_once_it_adds_up() -> None:
    teller = ReadingTeller()
    assert teller.next({CPU: 1000}) == {CPU: 1001}
    assert teller.next({CPU: 1050}) == {}
    assert teller.next({CPU: 1063}) == {CPU: 1064}
    assert teller.next({CPU: 1}) == {CPU: 2}
    assert teller.next({CPU: 4}) == {}


def test_what_is_no_more_is_told_once() -> None:
    teller = ReadingTeller()
    teller.next({CPU: 3})
    assert teller.next({}) == {CPU: 0}
    assert teller.next({}) == {}


def test_a_heartbeat_stays_small_and_nothing_waits_for_ever() -> None:
    teller, heard = ReadingTeller(), set[int]()
    for _ in range(4):
        told = teller.next(many(350))
        assert len(told) <= MAX_AT_ONCE
        heard |= told.keys()
    assert heard == many(350).keys()


def test_a_reader_that_knows_no_readings_takes_any_heartbeat() -> None:
    """It takes a map of at most 256 whole numbers, in a frame of 4 KiB."""
    encoder = HeartbeatEncoder()
    busy = Load(*[1 << 40] * len(Load.__slots__))
    for _ in range(3):
        body = encoder.encode(busy, many(5000, 1 << 40))
        told = msgpack.unpackb(body, strict_map_key=False, max_map_len=256)
        assert all(type(field) is int and type(value) is int and value >= 0 for field, value in told.items())
        assert len(body) < 2048


def test_everything_is_told_again_within_the_time_stated() -> None:
    teller = ReadingTeller()
    teller.next({CPU: 3})
    heard = [teller.next({CPU: 3}) for _ in range(RESTATE_EVERY)]
    assert heard == [{}] * (RESTATE_EVERY - 1) + [{CPU: 4}]


@given(st.lists(st.dictionaries(fields_, st.integers(0, 1 << 33), max_size=20), min_size=1, max_size=20))
def test_the_reader_holds_what_the_sender_measures(rounds: list[dict[int, int]]) -> None:
    encoder, decoder = HeartbeatEncoder(), HeartbeatDecoder()
    for readings in rounds:
        decoder.decode(encoder.encode(Load(), readings))
    known = dict(decoder.readings or ())
    assert known.keys() == rounds[-1].keys()
    for field, value in rounds[-1].items():
        assert abs(known[field] - min(value, (1 << 32) - 2)) <= max(2000, known[field] / 16)


def test_a_reader_forgets_what_it_has_not_been_told_for_long() -> None:
    encoder, decoder = HeartbeatEncoder(), HeartbeatDecoder()
    decoder.decode(encoder.encode(Load(), {CPU: 3}))
    encoder.encode(Load(), {})  # this one gets lost
    for _ in range((FORGET_AFTER + 1) * RESTATE_EVERY):
        decoder.decode(encoder.encode(Load(), {}))
    assert decoder.readings is not None
    assert len(decoder.readings) == 0


def test_what_lasts_is_never_forgotten() -> None:
    encoder, decoder = HeartbeatEncoder(), HeartbeatDecoder()
    for _ in range(300 * RESTATE_EVERY):  # more runs than the reader's byte counts
        decoder.decode(encoder.encode(Load(), {CPU: 3}))
    assert decoder.readings is not None
    assert decoder.readings.get(CPU) == 3


def test_a_reader_keeps_so_many_and_no_more() -> None:
    table = ReadingTable()
    for field in reversed(many(MAX_READINGS + 50)):
        table.take(field, 2, 0)
    assert len(table) == MAX_READINGS
    assert [field for field, _ in table] == sorted(field for field, _ in table)
    assert table.get(READINGS_FROM) is None  # it came last


@given(st.lists(st.tuples(fields_, st.integers(0, 1 << 62), st.integers(0, 10_000))))
def test_a_table_is_a_mapping(taken: list[tuple[int, int, int]]) -> None:
    table, model = ReadingTable(), dict[int, int]()
    for field, told, beat in taken:
        table.take(field, told, beat)
        if told:
            model[field] = min(told - 1, (1 << 32) - 1)
        else:
            model.pop(field, None)
    assert dict(table) == model
    assert all(table.get(field) == value for field, value in model.items())


@pytest.mark.parametrize("value", [-1, 1.5, b"\x01", "1", True])
def test_a_malformed_reading_is_refused_and_changes_nothing(value: Any) -> None:
    decoder = HeartbeatDecoder()
    decoder.decode(HeartbeatEncoder().encode(Load(), {CPU: 5}))
    with pytest.raises(HeartbeatError):
        decoder.decode(msgpack.packb({CPU: 9, CPU + 1: value}))
    assert dict(decoder.readings or ()) == {CPU: 5}


def test_a_field_is_left_out_until_it_is_used_and_told_ever_after() -> None:
    encoder = HeartbeatEncoder()
    told = [msgpack.unpackb(encoder.encode(Load(gpu=gpu)), strict_map_key=False) for gpu in (0, 501, 0)]
    assert [body.get(10) for body in told] == [None, 501, 0]
    rest = [msgpack.unpackb(encoder.encode(Load()), strict_map_key=False) for _ in range(FULL_EVERY - 2)]
    assert rest[-1][10] == 0
    assert 9 not in rest[-1]
