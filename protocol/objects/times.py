"""Kubernetes timestamps: RFC 3339 in UTC. ``now`` is always passed in, as seconds since the epoch."""

from __future__ import annotations

import datetime as dt


def timestamp(at_s: float) -> str:
    """Return ``metav1.Time`` for ``at_s``: whole seconds, ``2026-11-23T12:00:00Z``."""
    return dt.datetime.fromtimestamp(int(at_s), tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(at_s: float) -> str:
    """Return ``metav1.MicroTime`` for ``at_s``: six decimals, as Leases and Events use."""
    return dt.datetime.fromtimestamp(at_s, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> float:
    """Return seconds since the epoch for an RFC 3339 ``text`` of any precision.

    Raises:
        ValueError: It is not a timestamp with a time zone.
    """
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"timestamp {text!r} has no time zone")
    return moment.timestamp()
