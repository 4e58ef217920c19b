from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.validation import cluster


def fields(causes: list[Any]) -> list[str]:
    return [cause.field for cause in causes]


@pytest.mark.parametrize(
    ("taint", "expected"),
    [
        ({"key": "a", "effect": "NoSchedule"}, []),
        ({"key": "a", "value": "b", "effect": "NoExecute", "timeAdded": "2027-01-15T08:00:00Z"}, []),
        ({"key": "", "effect": "NoSchedule"}, ["spec.taints[0].key"]),
        ({"key": "a", "value": "b c", "effect": "NoSchedule"}, ["spec.taints[0].value"]),
        ({"key": "a", "effect": "Maybe"}, ["spec.taints[0].effect"]),
    ],
)
def test_a_nodes_taints(taint: dict[str, Any], expected: list[str]) -> None:
    assert fields(cluster.check_node({"spec": {"taints": [taint]}})) == expected


def test_a_taint_stands_once_per_effect() -> None:
    taints = [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "value": "b", "effect": "NoSchedule"}]
    assert fields(cluster.check_node({"spec": {"taints": taints}})) == ["spec.taints[1].effect"]


def test_a_nodes_amounts() -> None:
    assert fields(cluster.check_node({"status": {"capacity": {"cpu": "-1"}}})) == ["status.capacity[cpu]"]


def test_a_nodes_identity_is_set_once() -> None:
    old = {"spec": {"providerID": "a"}}
    assert fields(cluster.check_node_update({"spec": {"providerID": "b"}}, old)) == ["spec.providerID"]
    assert cluster.check_node_update({"spec": {"providerID": "a", "podCIDR": "10.0.0.0/24"}}, old) == []


def test_a_leases_numbers() -> None:
    assert cluster.check_lease({"spec": {"leaseDurationSeconds": 40}}) == []
    bad = {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}
    assert fields(cluster.check_lease(bad)) == ["spec.leaseDurationSeconds", "spec.leaseTransitions"]


@pytest.mark.parametrize(
    ("namespace", "about", "good"),
    [("shop", "shop", True), ("default", "", True), ("shop", "", False), ("shop", "default", False)],
)
def test_an_event_lies_beside_what_it_is_about(namespace: str, about: str, good: bool) -> None:
    body = {"metadata": {"namespace": namespace}, "involvedObject": {"namespace": about} if about else {}}
    assert (cluster.check_event(body) == []) is good


def test_a_runtime_class_has_a_handler_that_stays() -> None:
    assert cluster.check_runtime_class({"handler": "process"}) == []
    assert fields(cluster.check_runtime_class({"handler": "Not Valid"})) == ["handler"]
    assert fields(cluster.check_runtime_class({"handler": ""})) == ["handler"]
    overhead = {"handler": "a", "overhead": {"podFixed": {"cpu": "-1"}}}
    assert fields(cluster.check_runtime_class(overhead)) == ["overhead.podFixed[cpu]"]
    assert fields(cluster.check_runtime_class_update({"handler": "b"}, {"handler": "a"})) == ["handler"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("high", 1000, []),
        ("system-node-critical", 2_000_001_000, []),
        ("high", 1_000_000_001, ["value"]),
        ("system-mine", 5, ["metadata.name"]),
    ],
)
def test_a_priority_classes_value(name: str, value: int, expected: list[str]) -> None:
    body = {"metadata": {"name": name}, "value": value, "preemptionPolicy": "Never"}
    assert fields(cluster.check_priority_class(body)) == expected


def test_a_priority_class_does_not_change() -> None:
    old = {"value": 1, "preemptionPolicy": "Never"}
    assert cluster.check_priority_class_update({**old, "description": "x"}, old) == []
    assert fields(cluster.check_priority_class_update({**old, "value": 2}, old)) == ["value"]


def test_a_nodes_conditions_have_a_type_and_a_status() -> None:
    body = {"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Ready"}, {"status": "True"}]}}
    wrong = ["status.conditions[1].status", "status.conditions[2].type"]
    assert fields(cluster.check_node(body)) == fields(cluster.check_node_status(body, body)) == wrong
