from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1h5s", 3605),
        ("2d", 172800),
        ("1d2h3m4s", 93784),
        ("0", 0),
        ("36500d", 3153600000),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "-5m", "1.5h", "5 m", "m", "30m1h", "1h1h", "1h30", "5M", "٣", "36501d", "9" * 33, "inf"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"no duration|hundred years"):
        parse_duration(text)


@given(st.integers(0, 365), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_units_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == expected == parse_duration(str(expected))
