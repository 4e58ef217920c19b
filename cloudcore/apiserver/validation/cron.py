"""Cron schedules: five fields, or one of the named ones.

Source: crontab(5), and what Kubernetes' CronJob documentation ("Schedule syntax") takes besides.
"""

from __future__ import annotations

import re
from typing import Final

_NAMED: Final = frozenset({"@annually", "@daily", "@hourly", "@midnight", "@monthly", "@weekly", "@yearly"})
_EVERY: Final = re.compile(r"@every (\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)


def schedule_error(schedule: str) -> str:
    """Return what is wrong with a schedule; empty if nothing is."""
    if schedule.startswith("@"):
        known = schedule in _NAMED or _EVERY.fullmatch(schedule)
        return "" if known else f"unrecognized descriptor: {schedule}"
    parts = schedule.split()
    if len(parts) != len(_FIELDS):
        return f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: {parts}"
    for part, (name, low, high, words) in zip(parts, _FIELDS, strict=True):
        for item in part.split(","):
            wrong = _range_error(item, low, high, words)
            if wrong:
                return f"{wrong} in {name}: {part}"
    return ""


def _range_error(item: str, low: int, high: int, words: tuple[str, ...]) -> str:
    """Return what is wrong with ``*``, ``?``, ``n``, ``n-m``, any of them followed by ``/step``."""
    span, slash, step = item.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
        return f"step of range should be a positive number ({step})"
    if span in {"*", "?"}:
        return ""
    first, dash, last = span.partition("-")
    start = _number(first, low, words)
    end = _number(last, low, words) if dash else start
    if start is None or end is None:
        return f"failed to parse number: {span}"
    if start < low or end > high:
        return f"value ({span}) out of range [{low}, {high}]"
    return f"beginning of range ({start}) beyond end of range ({end})" if start > end else ""


def _number(text: str, low: int, words: tuple[str, ...]) -> int | None:
    if text.lower() in words:
        return words.index(text.lower()) + low
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else None
