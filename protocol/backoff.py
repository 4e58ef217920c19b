"""The one retry policy: exponential back-off with full jitter.

Three retries, factor 2, first delay 1 s, 5 s for each attempt (S17). Full jitter draws each delay from
[0, initial * factor^n): many peers that failed together do not come back together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when to try again.

    Attributes:
        max_retries: Retries after the first attempt; None for as many as it takes.
        initial_delay_s: Upper bound of the first delay, seconds.
        factor: Growth of that bound from one retry to the next.
        timeout_s: How long one attempt may take, seconds.
        max_delay_s: The bound grows no further than this, seconds.
        jitter: Draw from [0, bound) when true; wait exactly the bound when false.
    """

    max_retries: int | None = 3
    initial_delay_s: float = 1.0
    factor: float = 2.0
    timeout_s: float = 5.0
    max_delay_s: float = math.inf
    jitter: bool = True

    def bound_s(self, retry: int) -> float:
        """Return the upper bound of the delay before retry number ``retry`` (0 is the first), seconds."""
        try:
            grown = self.initial_delay_s * self.factor**retry
        except OverflowError:  # an outage of thousands of retries
            grown = math.inf
        return min(grown, self.max_delay_s)

    def delay_s(self, retry: int, rng: Random) -> float:
        """Return the delay before retry number ``retry``, seconds."""
        bound = self.bound_s(retry)
        return rng.random() * bound if self.jitter else bound

    def allows(self, retry: int) -> bool:
        """Return whether retry number ``retry`` may still be made."""
        return self.max_retries is None or retry < self.max_retries


STANDARD = RetryPolicy()
"""For a call that is answered by somebody: give up after three retries."""

LATER = RetryPolicy(max_retries=None, max_delay_s=30.0)
"""For an item that the peer wants later."""

LOCAL = RetryPolicy(max_retries=None, max_delay_s=5.0)
"""For a connection to a service of this very machine: asking it costs nothing."""

UNATTENDED = RetryPolicy(max_retries=None, initial_delay_s=10.0, max_delay_s=300.0, jitter=False)
"""For what is tried until somebody mends it, at Kubernetes' pace: a container that cannot be started, say."""

RECONNECT = RetryPolicy(max_retries=None, max_delay_s=30.0)
"""For a connection that must come back some day."""


class Backoff:
    """Counts one caller's failures in a row and says how long to wait after each.

    Args:
        policy: The retry policy.
        rng: Source of the jitter.
    """

    __slots__ = ("_policy", "_rng", "retries")

    def __init__(self, policy: RetryPolicy, rng: Random) -> None:
        self._policy = policy
        self._rng = rng
        self.retries = 0

    def next_delay_s(self, *, at_least_s: float = 0.0) -> float | None:
        """Return the delay before the next retry and count it; None once the policy is exhausted.

        Args:
            at_least_s: What the peer asked for (pacing); the jitter is added to it, or all who were told the same
                would come back at once.
        """
        if not self._policy.allows(self.retries):
            return None
        delay = at_least_s + self._policy.delay_s(self.retries, self._rng)
        self.retries += 1
        return delay

    def reset(self) -> None:
        """Forget the failures: an attempt has succeeded."""
        self.retries = 0
