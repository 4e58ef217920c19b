"""Defaults of HorizontalPodAutoscalers.

Source: Kubernetes ``autoscaling/v2`` ``SetDefaults_HorizontalPodAutoscaler``.
"""

from __future__ import annotations

from typing import Final

from protocol.objects.keys import Body

_CPU_PERCENT: Final = 80
_POLICIES: Final = {
    "scaleUp": (
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ),
    "scaleDown": ({"type": "Percent", "value": 100, "periodSeconds": 15},),
}


def default_autoscaler(body: Body) -> None:
    """Fill the absent fields of an autoscaler: without a metric it follows the CPU."""
    spec = body.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": _CPU_PERCENT}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if "behavior" in spec:
        _default_behavior(spec["behavior"])


def _default_behavior(behavior: Body) -> None:
    for direction, policies in _POLICIES.items():
        rules = behavior.setdefault(direction, {})
        rules.setdefault("selectPolicy", "Max")
        if not rules.get("policies"):
            rules["policies"] = [dict(policy) for policy in policies]
    behavior["scaleUp"].setdefault("stabilizationWindowSeconds", 0)
