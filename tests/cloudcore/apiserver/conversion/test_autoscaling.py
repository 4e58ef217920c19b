from __future__ import annotations

import copy
from typing import Any

import pytest

from cloudcore.apiserver.conversion.autoscaling import BEHAVIOR, CONDITIONS, CURRENT_METRICS, METRICS, from_v2, to_v2

CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
TARGET = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
METRIC_KINDS: list[dict[str, Any]] = [
    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
    {
        "type": "ContainerResource",
        "containerResource": {
            "name": "cpu", "container": "app", "target": {"type": "Utilization", "averageUtilization": 5},
        },
    },
    {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "9"}}},
    {
        "type": "Object",
        "object": {
            "metric": {"name": "queue", "selector": {"matchLabels": {"a": "b"}}},
            "describedObject": TARGET,
            "target": {"type": "Value", "value": "3"},
        },
    },
    {
        "type": "Object",
        "object": {
            "metric": {"name": "queue"}, "describedObject": TARGET,
            "target": {"type": "AverageValue", "averageValue": "3"},
        },
    },
    {
        "type": "External",
        "external": {
            "metric": {"name": "load", "selector": {"matchLabels": {"a": "b"}}},
            "target": {"type": "Value", "value": "3"},
        },
    },
]  # fmt: skip


def autoscaler(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "annotations": {"mine": "1"}},
        "spec": {"scaleTargetRef": TARGET, "maxReplicas": 3, **spec},
    }


def test_the_cpu_has_a_field_of_its_own_in_version_1() -> None:
    older = from_v2(autoscaler(metrics=[CPU]))
    assert older["apiVersion"] == "autoscaling/v1"
    assert older["spec"] == {"scaleTargetRef": TARGET, "maxReplicas": 3, "targetCPUUtilizationPercentage": 60}
    assert older["metadata"]["annotations"] == {"mine": "1"}
    assert to_v2(older) == autoscaler(metrics=[CPU])


@pytest.mark.parametrize("metric", METRIC_KINDS, ids=lambda metric: metric["type"])
def test_other_metrics_travel_in_an_annotation(metric: dict[str, Any]) -> None:
    body = autoscaler(metrics=[CPU, metric])
    before = copy.deepcopy(body)
    older = from_v2(body)
    assert METRICS in older["metadata"]["annotations"]
    assert to_v2(older) == before
    assert body == before


def test_behavior_and_what_is_observed_travel_too() -> None:
    body = autoscaler(metrics=[CPU], behavior={"scaleUp": {"selectPolicy": "Max"}})
    body["status"] = {
        "currentReplicas": 2,
        "currentMetrics": [
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7}}},
            {"type": "Pods", "pods": {"metric": {"name": "hits"}, "current": {"averageValue": "4"}}},
        ],
        "conditions": [{"type": "AbleToScale", "status": "True"}],
    }  # fmt: skip
    older = from_v2(body)
    assert older["status"] == {"currentReplicas": 2, "currentCPUUtilizationPercentage": 7}
    assert {BEHAVIOR, CURRENT_METRICS, CONDITIONS} <= older["metadata"]["annotations"].keys()
    assert to_v2(older) == body


@pytest.mark.parametrize("text", ["{", "7", '["x"]', "{}"])
def test_an_annotation_that_no_conversion_wrote_counts_for_nothing(text: str) -> None:
    body = from_v2(autoscaler())
    body["metadata"]["annotations"] |= {METRICS: text, CONDITIONS: text}
    assert "metrics" not in to_v2(body)["spec"]
