"""Rules of HorizontalPodAutoscalers.

Source: Kubernetes ``ValidateHorizontalPodAutoscaler``.
"""

from __future__ import annotations

from typing import Any, Final

from cloudcore.apiserver.validation.fields import forbidden, invalid, one_of, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_SOURCES: Final = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_TARGETS: Final = frozenset({"AverageValue", "Utilization", "Value"})
_SELECT: Final = frozenset({"Disabled", "Max", "Min"})
_LONGEST_S: Final = 3600
_LONGEST_PERIOD_S: Final = 1800


def check_autoscaler(body: Body) -> list[Cause]:
    """Return what is wrong with an autoscaler."""
    spec = body.get("spec") or {}
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    causes = []
    if least < 1:
        causes.append(invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        causes.append(invalid("spec.maxReplicas", most, "must be greater than 0"))
    elif most < least:
        causes.append(invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    causes += _check_reference("spec.scaleTargetRef", spec.get("scaleTargetRef") or {})
    for index, metric in enumerate(spec.get("metrics") or ()):
        causes += _check_metric(f"spec.metrics[{index}]", metric)
    for direction, rules in (spec.get("behavior") or {}).items():
        causes += _check_rules(f"spec.behavior.{direction}", rules)
    return causes


def _check_reference(path: str, reference: Body) -> list[Cause]:
    causes = []
    for name in ("kind", "name"):
        value = reference.get(name)
        causes += check_name("path", f"{path}.{name}", value) if value else [required(f"{path}.{name}")]
    return causes


def _check_metric(path: str, metric: Body) -> list[Cause]:
    causes = one_of(f"{path}.type", metric.get("type"), frozenset(_SOURCES))
    if causes:
        return causes
    wanted = _SOURCES[metric["type"]]
    for source in _SOURCES.values():
        if source != wanted and source in metric:
            why = "must populate the given metric source only"
            causes.append(forbidden(f"{path}.{source}", why))
    body = metric.get(wanted)
    if not isinstance(body, dict):
        return [*causes, required(f"{path}.{wanted}", "must populate information for the given metric source")]
    return causes + _check_target(f"{path}.{wanted}.target", body.get("target") or {})


def _check_target(path: str, target: Body) -> list[Cause]:
    causes = one_of(f"{path}.type", target.get("type"), _TARGETS)
    percent = target.get("averageUtilization")
    if percent is not None and percent < 1:
        causes.append(invalid(f"{path}.averageUtilization", percent, "must be greater than 0"))
    if not {"averageUtilization", "averageValue", "value"} & target.keys():
        causes.append(
            required(f"{path}.averageUtilization", "must set either a target raw value or a target utilization")
        )
    return causes


def _check_rules(path: str, rules: Body) -> list[Cause]:
    causes = one_of(f"{path}.selectPolicy", rules.get("selectPolicy"), _SELECT)
    causes += _between(f"{path}.stabilizationWindowSeconds", rules.get("stabilizationWindowSeconds", 0), 0, _LONGEST_S)
    for index, policy in enumerate(rules.get("policies") or ()):
        below = f"{path}.policies[{index}]"
        causes += one_of(f"{below}.type", policy.get("type"), frozenset({"Percent", "Pods"}))
        causes += _between(f"{below}.periodSeconds", policy.get("periodSeconds", 0), 1, _LONGEST_PERIOD_S)
        if policy.get("value", 0) < 1:
            causes.append(invalid(f"{below}.value", policy.get("value"), "must be greater than zero"))
    return causes


def _between(path: str, value: Any, low: int, high: int) -> list[Cause]:
    if value < low:
        return [
            invalid(path, value, f"must be greater than or equal to {low}" if low == 0 else "must be greater than zero")
        ]
    return [invalid(path, value, f"must be less than or equal to {high}")] if value > high else []
