from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.backoff import RECONNECT, STANDARD, Backoff, RetryPolicy


def test_the_standard_policy_is_the_documented_one() -> None:
    assert (STANDARD.max_retries, STANDARD.factor, STANDARD.initial_delay_s, STANDARD.timeout_s, STANDARD.jitter) == (
        3,
        2.0,
        1.0,
        5.0,
        True,
    )
    assert [STANDARD.bound_s(retry) for retry in range(3)] == [1.0, 2.0, 4.0]


def test_without_jitter_the_delay_is_the_bound() -> None:
    assert RetryPolicy(jitter=False).delay_s(2, Random(1)) == 4.0


@given(retry=st.integers(0, 10_000), seed=st.integers())
def test_a_delay_stays_within_its_bound(retry: int, seed: int) -> None:
    assert 0.0 <= RECONNECT.delay_s(retry, Random(seed)) < RECONNECT.bound_s(retry) <= 30.0


def test_full_jitter_spreads_over_the_whole_range() -> None:
    rng = Random(1)
    delays = [STANDARD.delay_s(0, rng) for _ in range(1000)]
    assert min(delays) < 0.05
    assert max(delays) > 0.95


def test_retries_are_counted_and_run_out() -> None:
    backoff = Backoff(RetryPolicy(jitter=False), Random(1))
    assert [backoff.next_delay_s() for _ in range(5)] == [1.0, 2.0, 4.0, None, None]
    backoff.reset()
    assert backoff.next_delay_s() == 1.0


def test_the_pacing_a_peer_asked_for_is_kept_and_spread() -> None:
    backoff = Backoff(RECONNECT, Random(1))
    delay = backoff.next_delay_s(at_least_s=60.0)
    assert delay == pytest.approx(60.5, abs=0.5)
    assert delay != 60.0
