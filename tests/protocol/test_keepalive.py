from __future__ import annotations

import pytest

from protocol.keepalive import Keepalive


def test_a_ping_is_due_after_silence_and_not_twice() -> None:
    keepalive = Keepalive(10.0, 15.0, now=0.0)
    assert not keepalive.ping_due(9.99)
    assert keepalive.next_timer() == 10.0
    assert keepalive.ping_due(10.0)
    keepalive.ping(10.0)
    assert not keepalive.ping_due(12.0)
    assert keepalive.next_timer() == 15.0
    assert keepalive.dead(15.0)


def test_whatever_arrives_puts_death_off() -> None:
    keepalive = Keepalive(10.0, 15.0, now=0.0)
    keepalive.heard(8.0)
    assert not keepalive.dead(22.9)
    assert keepalive.next_timer() == 18.0


def test_the_round_trip_is_smoothed() -> None:
    keepalive = Keepalive(10.0, 15.0, now=0.0)
    assert keepalive.pong(keepalive.ping(0.0), 0.8)
    assert keepalive.rtt_s == pytest.approx(0.8)
    assert keepalive.pong(keepalive.ping(1.0), 1.0)
    assert keepalive.rtt_s == pytest.approx(0.7)


def test_only_the_newest_ping_is_measured_and_only_once() -> None:
    keepalive = Keepalive(10.0, 15.0, now=0.0)
    old, new = keepalive.ping(0.0), keepalive.ping(5.0)
    assert not keepalive.pong(old, 6.0)
    assert keepalive.pong(new, 6.0)
    assert not keepalive.pong(new, 9.0)
    assert keepalive.rtt_s == pytest.approx(1.0)


def test_ping_ids_stay_within_one_byte_and_are_never_zero() -> None:
    keepalive = Keepalive(10.0, 15.0, now=0.0)
    assert {keepalive.ping(0.0) for _ in range(1000)} == set(range(1, 128))
