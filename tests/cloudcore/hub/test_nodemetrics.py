from __future__ import annotations

import pytest

from cloudcore.hub.nodemetrics import usage
from protocol.heartbeat import Load
from protocol.objects.keys import Body


@pytest.mark.parametrize(
    ("capacity", "load", "expected"),
    [
        ({"cpu": "4", "memory": "8Gi"}, Load(cpu=250, memory=500), {"cpu": "1000m", "memory": "4194304Ki"}),
        ({"cpu": "1500m", "memory": "1000Ki"}, Load(cpu=1, memory=1), {"cpu": "2m", "memory": "1Ki"}),
        ({}, Load(cpu=250, memory=500), {"cpu": "0m", "memory": "0Ki"}),
    ],
)
def test_a_share_of_the_capacity_is_a_quantity(capacity: Body, load: Load, expected: dict[str, str]) -> None:
    assert usage({"status": {"capacity": capacity}}, load) == expected
