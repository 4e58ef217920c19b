"""Durations as people write them: ``90``, ``90s``, ``30m``, ``1h30m``, ``2d``."""

from __future__ import annotations

import re
from typing import Final

_DURATION: Final = re.compile(r"([0-9]+)|(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_UNITS_S: Final = (1, 86400, 3600, 60, 1)
_CENTURY_S: Final = 100 * 365 * 86400


def parse_duration(text: str) -> int:
    """Return the seconds that ``text`` names: a plain number, or numbers with d, h, m, s, each once, in that order.

    Raises:
        ValueError: It is no duration, or one of over a hundred years.
    """
    match = _DURATION.fullmatch(text) if len(text) <= 32 else None
    if match is None or not text:
        raise ValueError(f"{text[:32]!r} is no duration")
    seconds = sum(int(part) * unit for part, unit in zip(match.groups("0"), _UNITS_S, strict=True))
    if seconds > _CENTURY_S:
        raise ValueError(f"{text!r} is more than a hundred years")
    return seconds
