from __future__ import annotations

from random import Random

import pytest

from tests.support.impairments import MOST_HELD, Impairment, Lane

PACKETS = [bytes([number]) * 100 for number in range(200)]


def carried(how: Impairment, *, seed: int = 1, every_s: float = 0.001) -> list[tuple[float, int]]:
    """Send the packets at a steady pace and return when each arrived, and which it was."""
    lane = Lane(Random(seed))
    lane.impose(how)
    arrived: list[tuple[float, int]] = []
    for number, packet in enumerate(PACKETS):
        now = number * every_s
        arrived += [(now, each[0]) for each in lane.pop(now)]
        lane.push(packet, now)
    while (due := lane.next_arrival()) is not None:
        arrived += [(due, each[0]) for each in lane.pop(due)]
    return arrived


def test_a_clear_lane_carries_everything_at_once_and_in_order() -> None:
    assert [number for _, number in carried(Impairment())] == list(range(200))


def test_delay_and_jitter_keep_the_order() -> None:
    arrived = carried(Impairment(delay_s=0.3, jitter_s=0.1))
    assert [number for _, number in arrived] == list(range(200))
    assert arrived[0][0] >= 0.3
    assert arrived[-1][0] <= 0.199 + 0.4
    assert arrived == sorted(arrived)


def test_a_share_is_lost() -> None:
    numbers = [number for _, number in carried(Impairment(loss=0.2))]
    assert 130 <= len(numbers) <= 185
    assert numbers == sorted(set(numbers))


def test_a_share_comes_twice() -> None:
    numbers = [number for _, number in carried(Impairment(duplicate=0.2))]
    assert set(numbers) == set(range(200))
    assert 215 <= len(numbers) <= 270


def test_some_are_overtaken_and_none_lost() -> None:
    numbers = [number for _, number in carried(Impairment(delay_s=0.02, reorder=0.2))]
    assert sorted(numbers) == list(range(200))
    assert numbers != sorted(numbers)


def test_the_rate_is_kept_and_what_does_not_fit_its_queue_is_lost() -> None:
    arrived = carried(Impairment(rate_bit_s=64_000, queue_bytes=4000))
    seconds = arrived[-1][0]
    assert len(arrived) * 800 / 64_000 == pytest.approx(seconds, rel=0.05)
    assert len(arrived) < 200


def test_a_cut_loses_what_is_under_way_and_what_comes() -> None:
    lane = Lane(Random(1))
    lane.impose(Impairment(delay_s=1.0))
    lane.push(b"under way", 0.0)
    lane.impose(Impairment(blocked=True))
    lane.push(b"later", 0.1)
    assert lane.next_arrival() is None
    assert lane.lost == 2
    lane.impose(Impairment())
    lane.push(b"again", 0.2)
    assert lane.pop(0.2) == [b"again"]


def test_better_weather_does_not_let_packets_overtake() -> None:
    lane = Lane(Random(1))
    lane.impose(Impairment(delay_s=1.0))
    lane.push(b"first", 0.0)
    lane.impose(Impairment())
    lane.push(b"second", 0.1)
    assert lane.pop(0.5) == []
    assert lane.pop(1.0) == [b"first", b"second"]


def test_no_more_is_held_than_the_bound() -> None:
    lane = Lane(Random(1))
    lane.impose(Impairment(delay_s=1.0))
    for _ in range(MOST_HELD + 5):
        lane.push(b"x", 0.0)
    assert len(lane.pop(2.0)) == MOST_HELD
    assert lane.lost == 5


def test_a_seed_repeats() -> None:
    how = Impairment(delay_s=0.1, jitter_s=0.1, loss=0.2, duplicate=0.2, reorder=0.2)
    assert carried(how, seed=7) == carried(how, seed=7)
    assert carried(how, seed=7) != carried(how, seed=8)
