from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.metrics.windows import Rates


@pytest.mark.parametrize(
    ("looks", "rate"),
    [
        ([(0.0, 100.0)], None),
        ([(0.0, 100.0), (10.0, 150.0)], 5.0),
        ([(0.0, 100.0), (10.0, 100.0)], 0.0),
        ([(0.0, 100.0), (10.0, 30.0)], 3.0),  # it began anew: all of it has come since
        ([(0.0, 100.0), (10.0, 150.0), (10.0, 160.0)], 5.0),  # the clock stood still
        ([(0.0, 100.0), (10.0, 150.0), (-1e9, 160.0)], 5.0),  # and went back
        ([(0.0, 100.0), (10.0, 150.0), (-1e9, 160.0), (-1e9 + 10, 180.0)], 2.0),
        ([(0.0, 0.0), (3600.0, 7200.0)], 2.0),  # it slept for an hour
    ],
)
def test_the_rate_of_a_counter(looks: list[tuple[float, float]], rate: float | None) -> None:
    rates, known = Rates[str](), dict[str, float]()
    for now, counter in looks:
        known = rates.update({"c": counter}, now)
    assert known.get("c") == rate


def test_a_counter_that_goes_is_forgotten_unless_it_is_waited_for() -> None:
    rates = Rates[str]()
    rates.update({"a": 0.0, "b": 0.0}, 0.0)
    assert rates.update({"a": 10.0, "b": 10.0}, 10.0) == {"a": 1.0, "b": 1.0}
    assert rates.update({}, 20.0, waiting=["b", "nobody"]) == {"b": 1.0}
    assert rates.update({"a": 90.0, "b": 50.0}, 30.0) == {"b": 2.0}


@given(st.lists(st.tuples(st.floats(0.001, 1e6), st.floats(0, 1e12)), min_size=2))
def test_rates_times_windows_add_up_to_what_was_counted(steps: list[tuple[float, float]]) -> None:
    rates, now, counter, gained = Rates[int](), 0.0, 0.0, 0.0
    rates.update({0: counter}, now)
    for span, more in steps:
        before, now, counter = now, now + span, counter + more
        gained += rates.update({0: counter}, now)[0] * (now - before)
    assert gained == pytest.approx(counter, rel=1e-6, abs=1e-3)


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(0, 1e15))))
def test_a_rate_is_never_negative_whatever_clock_and_counter_do(looks: list[tuple[float, float]]) -> None:
    rates = Rates[int]()
    for now, counter in looks:
        assert all(rate >= 0 for rate in rates.update({0: counter}, now).values())
