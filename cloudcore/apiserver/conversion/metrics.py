"""Metrics of autoscalers in the flat form that version 1 keeps in annotations, and in version 2's.

Source: Kubernetes ``autoscaling/v1`` MetricSpec and MetricStatus.
"""

from __future__ import annotations

from typing import Any, Final

from protocol.objects.keys import Body

_SOURCES: Final = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}
_TARGETS: Final = (
    ("averageUtilization", "targetAverageUtilization", "Utilization"),
    ("averageValue", "targetAverageValue", "AverageValue"),
    ("value", "targetValue", "Value"),
)
_CURRENTS: Final = (
    ("averageUtilization", "currentAverageUtilization"),
    ("averageValue", "currentAverageValue"),
    ("value", "currentValue"),
)


def metric_to_v1(metric: Body) -> Body:
    """Return a wanted metric as version 1 writes it."""
    source, body = _source(metric)
    target = body.get("target") or {}
    flat = {old: target[new] for new, old, _ in _TARGETS if new in target}
    if source == "object":
        # Of an object's metric, "target" is the object, and an average is named without it.
        if "targetAverageValue" in flat:
            flat["averageValue"] = flat.pop("targetAverageValue")
        flat.setdefault("targetValue", "0")
    return {"type": metric.get("type"), source: {**_head_to_v1(source, body), **flat}}


def metric_from_v1(metric: Body) -> Body:
    """Return a wanted metric, written as version 1 does, as version 2 writes it."""
    source, body = _source(metric)
    flat = dict(body)
    if source == "object" and "averageValue" in flat:
        flat["targetAverageValue"] = flat.pop("averageValue")
        flat.pop("targetValue", None)
    target: dict[str, Any] = {}
    for new, old, kind in _TARGETS:
        if old in flat:
            target.setdefault("type", kind)
            target[new] = flat[old]
    return {"type": metric.get("type"), source: {**_head_from_v1(source, body), "target": target}}


def observed_to_v1(metric: Body) -> Body:
    """Return an observed metric as version 1 writes it."""
    source, body = _source(metric)
    current = body.get("current") or {}
    flat = {old: current[new] for new, old in _CURRENTS if new in current}
    return {"type": metric.get("type"), source: {**_head_to_v1(source, body), **flat}}


def observed_from_v1(metric: Body) -> Body:
    """Return an observed metric, written as version 1 does, as version 2 writes it."""
    source, body = _source(metric)
    current = {new: body[old] for new, old in _CURRENTS if old in body}
    return {"type": metric.get("type"), source: {**_head_from_v1(source, body), "current": current}}


def _source(metric: Body) -> tuple[str, Body]:
    source = _SOURCES.get(str(metric.get("type")), "resource")
    body = metric.get(source)
    return source, body if isinstance(body, dict) else {}


def _head_to_v1(source: str, body: Body) -> Body:
    if source in {"resource", "containerResource"}:
        return {name: body[name] for name in ("name", "container") if name in body}
    named = body.get("metric") or {}
    head = {"metricName": named.get("name", "")}
    if named.get("selector"):
        head["metricSelector" if source == "external" else "selector"] = named["selector"]
    if source == "object":
        head["target"] = body.get("describedObject") or {}
    return head


def _head_from_v1(source: str, body: Body) -> Body:
    if source in {"resource", "containerResource"}:
        return {name: body[name] for name in ("name", "container") if name in body}
    named: dict[str, Any] = {"name": body.get("metricName", "")}
    selector = body.get("metricSelector" if source == "external" else "selector")
    if selector:
        named["selector"] = selector
    head: dict[str, Any] = {"metric": named}
    if source == "object":
        head["describedObject"] = body.get("target") or {}
    return head
