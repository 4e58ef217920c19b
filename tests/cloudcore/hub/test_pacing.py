"""Times to come back."""

from __future__ import annotations

from random import Random

from cloudcore.hub.pacing import PacingSettings, Slots

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
