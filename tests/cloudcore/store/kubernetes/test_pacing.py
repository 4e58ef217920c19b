from __future__ import annotations

import pytest

from cloudcore.store.kubernetes.pacing import TokenBucket


def test_a_burst_leaves_at_once_and_the_rest_in_turn() -> None:
    bucket = TokenBucket(per_s=10.0, burst=3.0)
    assert [round(bucket.take(0.0), 6) for _ in range(5)] == [0.0, 0.0, 0.0, 0.1, 0.2]


def test_a_pause_fills_the_bucket_and_no_further() -> None:
    bucket = TokenBucket(per_s=10.0, burst=2.0)
    for _ in range(4):
        bucket.take(0.0)
    assert bucket.take(100.0) == 0.0
    assert bucket.take(100.0) == 0.0
    assert bucket.take(100.0) == pytest.approx(0.1)
