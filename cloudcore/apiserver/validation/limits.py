"""Rules of LimitRanges, ResourceQuotas and PodDisruptionBudgets.

Source: Kubernetes ``ValidateLimitRange``, ``ValidateResourceQuota``, ``ValidatePodDisruptionBudget``.
"""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.validation.fields import duplicate, forbidden, invalid, one_of
from cloudcore.apiserver.validation.scheduling import check_label_selector
from cloudcore.apiserver.validation.workloads import check_share
from cloudcore.errors import Cause
from protocol.objects.keys import Body
from protocol.objects.quantities import parse_quantity
from protocol.objects.selectors import is_label_key

_TYPES: Final = frozenset({"Container", "PersistentVolumeClaim", "Pod"})
_BOUNDS: Final = ("min", "defaultRequest", "default", "max")
_SCOPES: Final = frozenset(
    {
        "BestEffort",
        "CrossNamespacePodAffinity",
        "NotBestEffort",
        "NotTerminating",
        "PriorityClass",
        "Terminating",
        "VolumeAttributesClass",
    }
)
_EVICTION: Final = frozenset({"AlwaysAllow", "IfHealthyBudget"})


def check_limit_range(body: Body) -> list[Cause]:
    """Return what is wrong with a LimitRange."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, item in enumerate((body.get("spec") or {}).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type", "")
        if "/" not in kind:
            causes += one_of(f"{path}.type", kind, _TYPES)
        if kind in seen:
            causes.append(duplicate(f"{path}.type", kind))
        seen.add(kind)
        if kind == "Pod":
            why = "may not be specified when `type` is 'Pod'"
            causes += [forbidden(f"{path}.{name}", why) for name in ("default", "defaultRequest") if item.get(name)]
        causes += _check_amounts(path, item) or _check_order(path, item)
    return causes


def _check_amounts(path: str, item: Body) -> list[Cause]:
    return [
        invalid(f"{path}.{name}[{resource}]", amount, "must be a quantity, greater than or equal to 0")
        for name in (*_BOUNDS, "maxLimitRequestRatio")
        for resource, amount in (item.get(name) or {}).items()
        if not _is_amount(amount)
    ]


def _check_order(path: str, item: Body) -> list[Cause]:
    """Return where a lower bound is above an upper one."""
    causes = []
    for place, low in enumerate(_BOUNDS):
        for high in _BOUNDS[place + 1 :]:
            for resource, amount in (item.get(low) or {}).items():
                above = (item.get(high) or {}).get(resource)
                if above is not None and parse_quantity(amount) > parse_quantity(above):
                    why = f"{low} value {amount} is greater than {high} value {above}"
                    causes.append(invalid(f"{path}.{low}[{resource}]", amount, why))
    return causes


def check_quota(body: Body) -> list[Cause]:
    """Return what is wrong with a ResourceQuota."""
    spec = body.get("spec") or {}
    causes = []
    for name, amount in (spec.get("hard") or {}).items():
        path = f"spec.hard[{name}]"
        if not is_label_key(name):
            causes.append(invalid(path, name, "must be a standard resource for quota"))
        elif not _is_amount(amount):
            causes.append(invalid(path, amount, "must be a quantity, greater than or equal to 0"))
    for scope in spec.get("scopes") or ():
        causes += one_of("spec.scopes", scope, _SCOPES)
    for index, item in enumerate((spec.get("scopeSelector") or {}).get("matchExpressions") or ()):
        causes += one_of(f"spec.scopeSelector.matchExpressions[{index}].scopeName", item.get("scopeName"), _SCOPES)
    return causes


def check_quota_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed ResourceQuota: its scopes are immutable."""
    spec, before = body.get("spec") or {}, old.get("spec") or {}
    if sorted(spec.get("scopes") or ()) == sorted(before.get("scopes") or ()):
        return []
    return [invalid("spec.scopes", spec.get("scopes"), "field is immutable")]


def check_disruption_budget(body: Body) -> list[Cause]:
    """Return what is wrong with a PodDisruptionBudget."""
    spec = body.get("spec") or {}
    causes = []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        causes.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            causes += check_share(f"spec.{name}", spec[name], at_most_all=True)
    if spec.get("selector"):
        causes += check_label_selector("spec.selector", spec["selector"])
    if spec.get("unhealthyPodEvictionPolicy") is not None:
        causes += one_of("spec.unhealthyPodEvictionPolicy", spec["unhealthyPodEvictionPolicy"], _EVICTION)
    return causes


def _is_amount(amount: object) -> bool:
    try:
        return isinstance(amount, str | int | float) and parse_quantity(amount) >= 0
    except ValueError:
        return False
