"""Quality-of-service classes, by Kubernetes' rules (S13 of the seed document)."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from protocol.objects.keys import Body
from protocol.objects.quantities import parse_quantity

QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]

_COUNTED = ("cpu", "memory")


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
