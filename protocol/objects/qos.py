"""Quality-of-service classes, by Kubernetes' rules (S13 of the seed document)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

from protocol.objects.keys import Body
from protocol.objects.quantities import parse_quantity

QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]

_COUNTED = ("cpu", "memory")

_GUARANTEED_OOM_SCORE: Final = -997
_BEST_EFFORT_OOM_SCORE: Final = 1000
_CRITICAL_PRIORITY: Final = 2_000_000_000


def qos_class(pod: Body) -> QosClass:
    """Return the class of ``pod``.

    Guaranteed: every container limits cpu and memory, and requests just that (an absent request takes the limit).
    BestEffort: no container requests or limits either. Burstable: anything between.
    """
    spec = pod.get("spec") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    amounts = [_amounts(container) for container in containers]
    if not any(requests or limits for requests, limits in amounts):
        return "BestEffort"
    guaranteed = all(
        set(limits) == set(_COUNTED) and all(requests.get(name, limits[name]) == limits[name] for name in _COUNTED)
        for requests, limits in amounts
    )
    return "Guaranteed" if guaranteed else "Burstable"


def oom_score_adj(pod: Body, container: Body, capacity_bytes: int) -> int:
    """Return the kernel's preference for ``container`` among victims when memory ends, as the kubelet sets it.

    Guaranteed and critical pods: -997. BestEffort: 1000. Burstable: the smaller its request, the closer to 1000,
    within 3 and 999, so that it stands between the other two.

    Args:
        pod: The pod.
        container: One of its containers.
        capacity_bytes: The node's memory; 0 where it is not known.
    """
    quality = qos_class(pod)
    if quality == "Guaranteed" or (pod["spec"].get("priority") or 0) >= _CRITICAL_PRIORITY:
        return _GUARANTEED_OOM_SCORE
    if quality == "BestEffort":
        return _BEST_EFFORT_OOM_SCORE
    requests, limits = _amounts(container)
    request = requests.get("memory", limits.get("memory", Decimal(0)))
    score = 1000 - int(1000 * request / capacity_bytes) if capacity_bytes else 999
    return max(1000 + _GUARANTEED_OOM_SCORE, min(score, _BEST_EFFORT_OOM_SCORE - 1))


def _amounts(container: Body) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    resources = container.get("resources") or {}
    requests, limits = (
        {
            name: parse_quantity(amount)
            for name, amount in (resources.get(part) or {}).items()
            if name in _COUNTED and parse_quantity(amount) != 0
        }
        for part in ("requests", "limits")
    )
    return requests, limits
