from __future__ import annotations

import pytest

from cloudcore.controllers.nodes.zones import (
    NORMAL_RATE,
    REDUCED_RATE,
    Pacer,
    Zone,
    is_everything_gone,
    rate,
    survey,
    zone_of,
)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (Zone(ready=10, gone=1), NORMAL_RATE),
        (Zone(ready=1, gone=2), NORMAL_RATE),
        (Zone(ready=2, gone=3), 0.0),
        (Zone(ready=40, gone=60), REDUCED_RATE),
        (Zone(ready=46, gone=54), NORMAL_RATE),
    ],
)
def test_the_rate_falls_when_much_of_a_zone_goes(zone: Zone, expected: float) -> None:
    assert rate({"a": zone}, "a") == expected


def test_nothing_is_given_up_when_everything_is_gone() -> None:
    zones = {"a": Zone(gone=1), "b": Zone(gone=60)}
    assert is_everything_gone(zones)
    assert rate(zones, "b") == 0.0
    assert rate({**zones, "c": Zone(ready=1)}, "b") == NORMAL_RATE
    assert not is_everything_gone({})


def test_the_pacer_lets_one_node_pass_per_turn_and_zone() -> None:
    pacer = Pacer()
    assert pacer.wait_s("a", 0.1, now=0.0) == 0.0
    assert pacer.wait_s("a", 0.1, now=4.0) == 6.0
    assert pacer.wait_s("b", 0.1, now=4.0) == 0.0
    assert pacer.wait_s("a", 0.1, now=10.0) == 0.0
    assert pacer.wait_s("a", 0.0, now=100.0) == float("inf")


def test_zones_are_told_by_labels() -> None:
    labels = {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "1"}
    assert zone_of({"metadata": {"labels": labels}}) == "eu/1"
    assert zone_of({"metadata": {}}) == "/"
    assert survey([("a", True), ("a", False), ("b", False)]) == {"a": Zone(1, 1), "b": Zone(0, 1)}
