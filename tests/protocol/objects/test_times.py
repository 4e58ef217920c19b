from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects.times import micro_timestamp, parse_timestamp, timestamp


def test_formats() -> None:
    assert timestamp(0.9) == "1970-01-01T00:00:00Z"
    assert micro_timestamp(1.25) == "1970-01-01T00:00:01.250000Z"


def test_offsets_and_precisions_are_read() -> None:
    assert parse_timestamp("1970-01-01T01:00:00+01:00") == 0.0
    assert parse_timestamp("1970-01-01T00:00:00.5Z") == 0.5


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23T12:00:00"])
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|time zone"):
        parse_timestamp(text)


@given(st.integers(min_value=0, max_value=4 * 10**9))
def test_seconds_survive(at_s: int) -> None:
    assert parse_timestamp(timestamp(at_s)) == at_s
