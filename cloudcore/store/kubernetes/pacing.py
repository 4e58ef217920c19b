"""How fast requests may leave. Performs no I/O; ``now`` is seconds on a monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """Spreads requests of one client: so many a second, so many at once after a pause.

    Takers queue by time, first come, first served: each is told how long to wait and owns its turn from then on.

    Attributes:
        per_s: Sustained requests per second.
        burst: Requests at once after a pause.
    """

    per_s: float
    burst: float
    _tokens: float = field(init=False)
    _since: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Begin full."""
        self._tokens = self.burst

    def take(self, now: float) -> float:
        """Take a token, on credit if need be; return the seconds after which the request may leave."""
        self._tokens = min(self.burst, self._tokens + (now - self._since) * self.per_s) - 1.0
        self._since = now
        return max(0.0, -self._tokens / self.per_s)
