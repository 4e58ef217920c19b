from __future__ import annotations

import pytest

from cloudcore.apiserver.validation.cron import schedule_error


@pytest.mark.parametrize(
    "schedule",
    ["* * * * *", "*/5 0-23/2 1,15 * ?", "0 0 1 jan-MAR sun,TUE", "59 23 31 12 6", "@hourly", "@every 1h30m",
     "5/15 * * * *"],
)  # fmt: skip
def test_good_schedules(schedule: str) -> None:
    assert schedule_error(schedule) == ""


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("* * * *", "exactly 5 fields"),
        ("", "exactly 5 fields"),
        ("60 * * * *", "out of range"),
        ("* 24 * * *", "out of range"),
        ("* * 0 * *", "out of range"),
        ("* * * 13 *", "out of range"),
        ("* * * * 7", "out of range"),
        ("5-1 * * * *", "beyond end"),
        ("*/0 * * * *", "positive number"),
        ("*/x * * * *", "positive number"),
        ("a * * * *", "failed to parse"),
        ("1- * * * *", "failed to parse"),
        ("²" + " *" * 4, "failed to parse"),
        ("@sometimes", "unrecognized descriptor"),
        ("@every soon", "unrecognized descriptor"),
    ],
)
def test_bad_schedules(schedule: str, why: str) -> None:
    assert why in schedule_error(schedule)
