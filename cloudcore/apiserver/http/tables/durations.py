"""Ages as ``kubectl`` shows them: two units at most, coarser the longer it is."""

from __future__ import annotations

from datetime import datetime

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400


def human_duration(seconds: float) -> str:
    """Return a duration in seconds as kubectl writes it: ``5m30s``, ``3d4h``, ``2y``."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{max(whole, 0)}s"
    if whole < 10 * _MINUTE:
        return _pair(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _pair(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _pair(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _pair(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def _pair(seconds: int, unit: int, symbol: str, smaller: int, smaller_symbol: str) -> str:
    rest = seconds % unit // smaller
    return f"{seconds // unit}{symbol}{rest}{smaller_symbol}" if rest else f"{seconds // unit}{symbol}"


def seconds_since(timestamp: str | None, now: float) -> float | None:
    """Return the age in seconds of an RFC 3339 ``timestamp`` at Unix time ``now``; None where it is unreadable."""
    if not timestamp:
        return None
    try:
        return now - datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def age(timestamp: str | None, now: float) -> str:
    """Return an RFC 3339 ``timestamp``'s age at Unix time ``now`` as kubectl writes it, ``<unknown>`` without one."""
    seconds = seconds_since(timestamp, now)
    return "<unknown>" if seconds is None else human_duration(seconds)
