"""The token bucket per address."""

from __future__ import annotations

from cloudcore.security.ratelimit import RateLimit, RateLimiter


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    limiter = RateLimiter(RateLimit(per_s=2.0, burst=3.0))
    assert [limiter.wait_s("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limiter.wait_s("a", 0.5) == 0.0
    assert limiter.wait_s("a", 0.5) == 0.5


def test_addresses_do_not_share() -> None:
    limiter = RateLimiter(RateLimit(per_s=1.0, burst=1.0))
    assert limiter.wait_s("a", 0.0) == 0.0
    assert limiter.wait_s("a", 0.0) > 0.0
    assert limiter.wait_s("b", 0.0) == 0.0


def test_the_number_of_addresses_is_bounded() -> None:
    limiter = RateLimiter(RateLimit(per_s=1.0, burst=1.0, addresses=2))
    for address in "abc":
        limiter.wait_s(address, 0.0)
    assert limiter.wait_s("c", 0.0) > 0.0
    assert limiter.wait_s("a", 0.0) == 0.0
