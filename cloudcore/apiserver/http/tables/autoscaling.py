"""``kubectl get hpa``."""

from __future__ import annotations

from typing import Any, Final

from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, at, created, printer
from protocol.objects.keys import Body

_SHOWN_METRICS: Final = 2
_SOURCES: Final = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}

SCALES: Final = "scales.autoscaling"
"""Names the columns of the ``scale`` subresource, which is not a resource."""


@printer(SCALES, NAME, Column("Desired", "integer"), Column("Available", "integer"), AGE)
def scale_cells(body: Body, now: float) -> Cells:
    """Return a Scale's row."""
    desired, available = at(body, "spec", "replicas") or 0, at(body, "status", "replicas") or 0
    return [body["metadata"]["name"], desired, available, created(body, now)]


@printer(
    "horizontalpodautoscalers.autoscaling", NAME, Column("Reference"), Column("Targets"), Column("MinPods"),
    Column("MaxPods", "integer"), Column("Replicas", "integer"), AGE,
)  # fmt: skip
def autoscaler_cells(body: Body, now: float) -> Cells:
    """Return an autoscaler's row, from the version that is kept."""
    spec = body.get("spec") or {}
    least = spec.get("minReplicas")
    return [
        body["metadata"]["name"],
        f"{at(spec, 'scaleTargetRef', 'kind') or ''}/{at(spec, 'scaleTargetRef', 'name') or ''}",
        _targets(spec.get("metrics") or [], at(body, "status", "currentMetrics") or []),
        "<unset>" if least is None else str(least),
        spec.get("maxReplicas", 0),
        at(body, "status", "currentReplicas") or 0,
        created(body, now),
    ]


def _targets(metrics: list[Body], observed: list[Body]) -> str:
    if not metrics:
        return "<none>"
    shown = [_target(metric, observed[i] if i < len(observed) else {}) for i, metric in enumerate(metrics)]
    more = len(shown) - _SHOWN_METRICS
    return ", ".join(shown[:_SHOWN_METRICS]) + (f" + {more} more..." if more > 0 else "")


def _target(metric: Body, observed: Body) -> str:
    kind = str(metric.get("type"))
    source = _SOURCES.get(kind, "")
    target, current = at(metric, source, "target") or {}, at(observed, source, "current") or {}
    if "averageUtilization" in target:
        percent = current.get("averageUtilization")
        value = f"{'<unknown>' if percent is None else f'{percent}%'}/{target['averageUtilization']}%"
    elif "averageValue" in target:
        suffix = "" if kind in {"Pods", "Resource", "ContainerResource"} else " (avg)"
        value = f"{_known(current.get('averageValue'))}/{target['averageValue']}{suffix}"
    else:
        value = f"{_known(current.get('value'))}/{target.get('value', '')}"
    name = at(metric, source, "name")
    return f"{name}: {value}" if name else value


def _known(value: Any) -> str:
    return "<unknown>" if value is None else str(value)
