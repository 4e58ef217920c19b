"""Times to come back."""

from __future__ import annotations

from random import Random

from cloudcore.hub.pacing import PacingSettings, Slots
from protocol.backoff import RECONNECT, Backoff

SETTINGS = PacingSettings(resumes_per_s=100.0, after_s=1.0)


def test_nodes_come_back_one_after_another_at_the_rate() -> None:
    slots = Slots(SETTINGS, Random(1))
    times = [slots.take(now=50.0) for _ in range(1000)]
    assert all(time >= 1.0 for time in times)
    for second in range(1, 11):
        assert 99 <= sum(second <= time < second + 1 for time in times) <= 101


def test_slots_that_have_passed_are_not_made_up_for() -> None:
    slots = Slots(SETTINGS, Random(1))
    slots.take(now=0.0)
    assert 1.0 <= slots.take(now=1000.0) < 1.02


def test_the_jitter_comes_from_the_seed() -> None:
    assert Slots(SETTINGS, Random(7)).take(0.0) == Slots(SETTINGS, Random(7)).take(0.0)
    assert Slots(SETTINGS, Random(7)).take(0.0) != Slots(SETTINGS, Random(8)).take(0.0)


def test_two_thousand_nodes_come_back_spread_out_whatever_each_adds_of_its_own() -> None:
    settings = PacingSettings()
    slots, rng = Slots(settings, Random(3)), Random(4)
    told = [slots.take(now=0.0) for _ in range(2000)]
    assert told == sorted(told)
    assert len(set(told)) == 2000
    last = settings.after_s + 2000 / settings.resumes_per_s
    assert told[-1] < last
    # Each agent adds its own back-off's jitter, up to a second.
    arrivals = sorted(slot + Backoff(RECONNECT, rng).next_delay_s() for slot in told)  # type: ignore[operator]
    for tenth in range(10 * int(last + 1)):
        within = sum(tenth / 10 <= at < (tenth + 1) / 10 for at in arrivals)
        assert within <= 1.6 * settings.resumes_per_s / 10


def test_whoever_is_turned_away_goes_to_the_end_of_the_queue() -> None:
    slots = Slots(PacingSettings(resumes_per_s=100.0, after_s=1.0), Random(1))
    first = [slots.take(now=0.0) for _ in range(200)]
    assert slots.take(now=0.5) + 0.5 > max(first)
