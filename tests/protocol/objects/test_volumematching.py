from __future__ import annotations

from typing import Any

import pytest

from protocol.objects.keys import Body
from protocol.objects.volumematching import find_volume, why_not
from tests.support.volumes import claim, volume

NODE = {"metadata": {"name": "edge-1", "labels": {"kubernetes.io/hostname": "edge-1"}}}


def available(name: str, phase: str = "Available", labels: dict[str, str] | None = None, **fields: Any) -> Body:
    body = volume(name, **fields)
    body["metadata"]["labels"] = labels or {}
    return {**body, "status": {"phase": phase}}


def found(wanted: Body, *volumes: Body, **where: Any) -> str:
    match = find_volume({**wanted, "metadata": {**wanted["metadata"], "uid": "c1"}}, volumes, **where)
    return "" if match is None else str(match["metadata"]["name"])


def test_the_smallest_that_is_large_enough() -> None:
    volumes = [available("large", size="10Gi"), available("small", size="1000Mi"), available("fits", size="2Gi")]
    assert found(claim(size="1Gi"), *volumes) == "fits"
    assert found(claim(size="11Gi"), *volumes) == ""


@pytest.mark.parametrize(
    ("asked", "offered", "suits"),
    [
        ({}, {}, True),
        ({}, {"phase": "Released"}, False),
        ({}, {"phase": "Pending"}, False),
        ({"accessModes": ["ReadWriteMany"]}, {}, False),
        ({"accessModes": ["ReadWriteOnce"]}, {"accessModes": ["ReadOnlyMany", "ReadWriteOnce"]}, True),
        ({"accessModes": ["ReadWriteOncePod"]}, {"accessModes": ["ReadWriteOncePod"]}, True),
        ({"storageClassName": "fast"}, {}, False),
        ({"storageClassName": "fast"}, {"storageClassName": "fast"}, True),
        ({}, {"storageClassName": "fast"}, False),
        ({"selector": {"matchLabels": {"disk": "ssd"}}}, {}, False),
        ({"selector": {"matchLabels": {"disk": "ssd"}}}, {"labels": {"disk": "ssd"}}, True),
        ({"volumeMode": "Block"}, {}, False),
        ({"volumeMode": "Block"}, {"volumeMode": "Block"}, True),
        ({}, {"claimRef": {"namespace": "default", "name": "other"}}, False),
        ({}, {"claimRef": {"namespace": "other", "name": "data"}}, False),
        ({}, {"claimRef": {"namespace": "default", "name": "data", "uid": "another"}}, False),
        ({}, {"claimRef": {"namespace": "default", "name": "data", "uid": "c1"}, "phase": "Bound"}, True),
    ],
)
def test_what_suits(asked: Body, offered: dict[str, Any], suits: bool) -> None:
    assert bool(found(claim(**asked), available("pv", **offered))) is suits


def test_what_is_kept_for_a_claim_comes_before_a_smaller_one() -> None:
    kept = available("kept", size="5Gi", claimRef={"namespace": "default", "name": "data"})
    assert found(claim(), available("small"), kept) == "kept"
    assert found(claim(), available("small"), kept, delayed=True) == "kept"
    assert found(claim(), available("small"), delayed=True) == ""


def test_a_node_is_respected() -> None:
    here, there = available("here", node="edge-1", size="3Gi"), available("there", node="edge-2")
    assert found(claim(), here, there, node=NODE) == "here"
    assert found(claim(), there, node=NODE) == ""
    assert found(claim(), here, there) == "there"


def test_what_is_being_deleted_is_not_taken() -> None:
    going = available("pv")
    going["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    assert found(claim(), going) == ""


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({}, ""),
        ({"size": "2Gi"}, "requested PV is too small"),
        ({"storageClassName": "fast"}, "storageClassName does not match"),
        ({"volumeMode": "Block"}, "incompatible volumeMode"),
        ({"accessModes": ["ReadWriteMany"]}, "incompatible accessMode"),
    ],
)
def test_why_a_claim_cannot_have_the_volume_that_it_names(asked: Any, why: str) -> None:
    assert why_not(claim(**asked), volume()) == why
