"""The syntax of eviction settings."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.thresholds import (
    DEFAULT_HARD,
    Amount,
    Signal,
    Threshold,
    eviction_settings,
    parse_amount,
    parse_thresholds,
)


def test_the_usual_thresholds_are_the_kubelets() -> None:
    assert parse_thresholds(DEFAULT_HARD) == {
        Signal.MEMORY: Amount(100 << 20),
        Signal.NODEFS: Amount(share=Fraction(1, 10)),
        Signal.NODEFS_INODES: Amount(share=Fraction(1, 20)),
        Signal.IMAGEFS: Amount(share=Fraction(15, 100)),
        Signal.PIDS: Amount(share=Fraction(1, 20)),
    }


@pytest.mark.parametrize("text", ["", "none", " none ", "memory.available<0%", "memory.available<100%"])
def test_what_states_none(text: str) -> None:
    assert parse_thresholds(text) == {}


def test_a_soft_threshold_has_its_grace_period_and_its_minimum_reclaim() -> None:
    settings = eviction_settings(
        "none", "memory.available<1.5Gi", "memory.available=1m30s", "memory.available=500Mi", max_grace_s=60
    )
    at, reclaim = Amount(3 << 29), Amount(500 << 20)
    assert settings.thresholds == (Threshold(Signal.MEMORY, at, 90.0, soft=True, reclaim=reclaim),)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("memory.available",), "does not look like memory.available<AMOUNT"),
        (("memory.available<",), "does not look like"),
        (("memory.available>5Mi",), "does not look like"),
        (("memory.free<5Mi",), "'memory.free' is no signal of this agent"),
        (("memory.available<5Mi,memory.available<6Mi",), "stated twice"),
        (("memory.available<-5Mi",), "less than nothing"),
        (("memory.available<5MB",), "is no amount"),
        (("memory.available<101%",), "more than all there is"),
        (("memory.available<-5%",), "no share"),
        (("memory.available<1e999%",), "no share"),
        (("memory.available<\u0661\u0660%",), "no share"),
        (("none", "memory.available<1Gi"), "needs a grace period"),
        (("none", "", "memory.available=1m"), "has no soft threshold"),
        (("none", "memory.available<1Gi", "memory.available=soon"), "no grace period"),
        (("none", "", "", "memory.available=x"), "is no amount"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        eviction_settings(*arguments)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    try:
        parse_thresholds(text)
    except ValueError:
        pass


@given(st.integers(0, 1 << 50), st.integers(1, 1 << 50))
def test_a_share_is_never_more_than_all(percent: int, capacity: int) -> None:
    assert 0 <= parse_amount(f"{percent % 101}%").of(capacity) <= capacity
