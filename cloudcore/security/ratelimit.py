"""A token bucket per client address. Performs no I/O; ``now`` is seconds on a monotonic clock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often one address may ask.

    Attributes:
        per_s: Sustained requests per second.
        burst: Requests at once after a pause.
        addresses: Addresses remembered; beyond it the one that has been silent longest is forgotten.
    """

    per_s: float = 10.0
    burst: float = 100.0
    addresses: int = 4096


class RateLimiter:
    """Decides who asks too often.

    Args:
        limit: The bounds.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """Take a token of ``address``; return 0, or the seconds until there will be one."""
        limit = self._limit
        tokens, since = self._buckets.pop(address, (limit.burst, now))
        tokens = min(limit.burst, tokens + (now - since) * limit.per_s)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / limit.per_s
        self._buckets[address] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > limit.addresses:
            self._buckets.popitem(last=False)
        return wait
