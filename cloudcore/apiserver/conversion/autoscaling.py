"""``autoscaling/v1`` HorizontalPodAutoscalers, kept as ``autoscaling/v2`` ones.

Version 1 knows one metric, the CPU's utilization. What else version 2 can say travels in annotations, as in
Kubernetes, so that a client of version 1 gives back what it does not understand.

Source: Kubernetes ``pkg/apis/autoscaling/v1/conversion.go``.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from cloudcore.apiserver.conversion.metrics import metric_from_v1, metric_to_v1, observed_from_v1, observed_to_v1
from protocol.objects.keys import Body

METRICS: Final = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT_METRICS: Final = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS: Final = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR: Final = "autoscaling.alpha.kubernetes.io/behavior"
_ANNOTATIONS: Final = frozenset({METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR})
_V1, _V2 = "autoscaling/v1", "autoscaling/v2"


def to_v2(body: Body) -> Body:
    """Return a version 1 autoscaler as a version 2 one."""
    metadata = dict(body["metadata"])
    noted = metadata.get("annotations") or {}
    if _ANNOTATIONS & noted.keys():
        metadata["annotations"] = {name: value for name, value in noted.items() if name not in _ANNOTATIONS}
        if not metadata["annotations"]:
            del metadata["annotations"]
    converted = {**body, "apiVersion": _V2, "metadata": metadata}
    if isinstance(body.get("spec"), dict):
        converted["spec"] = _spec_to_v2(body["spec"], noted)
    if isinstance(body.get("status"), dict):
        converted["status"] = _status_to_v2(body["status"], noted)
    return converted


def from_v2(body: Body) -> Body:
    """Return a version 2 autoscaler as a version 1 one."""
    converted = {**body, "apiVersion": _V1}
    noted: dict[str, str] = {}
    if isinstance(body.get("spec"), dict):
        converted["spec"], more = _spec_to_v1(body["spec"])
        noted |= more
    if isinstance(body.get("status"), dict):
        converted["status"], more = _status_to_v1(body["status"])
        noted |= more
    if noted:
        metadata = body["metadata"]
        converted["metadata"] = {**metadata, "annotations": {**(metadata.get("annotations") or {}), **noted}}
    return converted


def _spec_to_v2(spec: Body, noted: Body) -> Body:
    converted = {name: value for name, value in spec.items() if name != "targetCPUUtilizationPercentage"}
    metrics = [metric_from_v1(metric) for metric in _read(noted, METRICS, list)]
    percent = spec.get("targetCPUUtilizationPercentage")
    if percent is not None:
        metrics.insert(0, _cpu("target", {"type": "Utilization", "averageUtilization": percent}))
    if metrics:
        converted["metrics"] = metrics
    behavior = _read(noted, BEHAVIOR, dict)
    return {**converted, "behavior": behavior} if behavior else converted


def _spec_to_v1(spec: Body) -> tuple[Body, dict[str, str]]:
    converted = {name: value for name, value in spec.items() if name not in {"metrics", "behavior"}}
    noted, others = {}, []
    for metric in spec.get("metrics") or ():
        target = (metric.get("resource") or {}).get("target") or {}
        if _is_cpu(metric) and "averageUtilization" in target and "targetCPUUtilizationPercentage" not in converted:
            converted["targetCPUUtilizationPercentage"] = target["averageUtilization"]
        else:
            others.append(metric_to_v1(metric))
    if others:
        noted[METRICS] = _text(others)
    if spec.get("behavior"):
        noted[BEHAVIOR] = _text(spec["behavior"])
    return converted, noted


def _status_to_v2(status: Body, noted: Body) -> Body:
    converted = {name: value for name, value in status.items() if name != "currentCPUUtilizationPercentage"}
    metrics = [observed_from_v1(metric) for metric in _read(noted, CURRENT_METRICS, list)]
    percent = status.get("currentCPUUtilizationPercentage")
    if percent is not None and not any(map(_is_cpu, metrics)):
        metrics.insert(0, _cpu("current", {"averageUtilization": percent}))
    conditions = _read(noted, CONDITIONS, list)
    return {
        **converted,
        **({"currentMetrics": metrics} if metrics else {}),
        **({"conditions": conditions} if conditions else {}),
    }


def _status_to_v1(status: Body) -> tuple[Body, dict[str, str]]:
    converted = {name: value for name, value in status.items() if name not in {"currentMetrics", "conditions"}}
    converted.setdefault("currentReplicas", 0)  # version 1 always has it
    noted = {}
    metrics = status.get("currentMetrics") or []
    for metric in metrics:
        current = (metric.get("resource") or {}).get("current") or {}
        if _is_cpu(metric) and "averageUtilization" in current:
            converted["currentCPUUtilizationPercentage"] = current["averageUtilization"]
    if metrics:
        noted[CURRENT_METRICS] = _text([observed_to_v1(metric) for metric in metrics])
    if status.get("conditions"):
        noted[CONDITIONS] = _text(status["conditions"])
    return converted, noted


def _cpu(field: str, value: Body) -> Body:
    return {"type": "Resource", "resource": {"name": "cpu", field: value}}


def _is_cpu(metric: Body) -> bool:
    return metric.get("type") == "Resource" and (metric.get("resource") or {}).get("name") == "cpu"


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _read(noted: Body, name: str, kind: type) -> Any:
    """Return what an annotation carries; empty where it is absent or was not written by a conversion."""
    try:
        value = orjson.loads(noted.get(name) or b"null")
    except (orjson.JSONDecodeError, TypeError):
        return kind()
    if kind is list and isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    return value if kind is dict and isinstance(value, dict) else kind()
