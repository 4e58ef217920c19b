from __future__ import annotations

import pytest

from cloudcore.apiserver.http.tables.durations import age, human_duration, seconds_since

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 31_536_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (2 * MINUTE, "2m"),
        (5 * MINUTE + 30, "5m30s"),
        (10 * MINUTE + 59, "10m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 5 * MINUTE, "7h5m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (2 * DAY, "2d"),
        (3 * DAY + 4 * HOUR, "3d4h"),
        (8 * DAY + 4 * HOUR, "8d"),
        (729 * DAY, "729d"),
        (2 * YEAR + 10 * DAY, "2y10d"),
        (9 * YEAR, "9y"),
    ],
)
def test_two_units_at_most(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_ages() -> None:
    assert age("1970-01-01T00:00:10Z", 70) == "60s"
    assert age("1970-01-01T00:00:10.500000Z", 70) == "59s"
    assert age(None, 70) == "<unknown>"
    assert age("yesterday", 70) == "<unknown>"
    assert seconds_since("", 0) is None
