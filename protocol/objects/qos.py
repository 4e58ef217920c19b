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
_NODE_CRITICAL: Final = "system-node-critical"


def qos_class(pod: Body) -> QosClass:
    """Return the class of ``pod``.

    Guaranteed: every container, init containers too, limits cpu and memory, and requests just that (an absent request
    takes the limit; one of zero does not). BestEffort: no container requests or limits either. Burstable: anything
    between. Where the pod itself states resources, they are judged instead of its containers'.
    """
    spec = pod.get("spec") or {}
    judged = [spec] if any(_amounts(spec)) else [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    amounts = [_amounts(each) for each in judged]
    if not any(_nonzero(requests) or _nonzero(limits) for requests, limits in amounts):
        return "BestEffort"
    guaranteed = all(
        set(_nonzero(limits)) == set(_COUNTED)
        and all(requests.get(name, limits[name]) == limits[name] for name in _COUNTED)
        for requests, limits in amounts
    )
    return "Guaranteed" if guaranteed else "Burstable"


def oom_score_adj(pod: Body, container: Body, capacity_bytes: int) -> int:
    """Return the kernel's preference for ``container`` among victims when memory ends, as the kubelet sets it.

    Guaranteed and node-critical pods: -997. BestEffort: 1000. Burstable: the smaller its request, the closer to 1000,
    within 3 and 999, so that it stands between the other two. What the pod requests beyond its containers is theirs in
    equal parts, and a sidecar outlives what it serves.

    Args:
        pod: The pod.
        container: One of its containers.
        capacity_bytes: The node's memory; 0 where it is not known.
    """
    quality, spec = qos_class(pod), pod["spec"]
    if quality == "Guaranteed" or _is_node_critical(spec):
        return _GUARANTEED_OOM_SCORE
    if quality == "BestEffort":
        return _BEST_EFFORT_OOM_SCORE
    if not capacity_bytes:
        return _BEST_EFFORT_OOM_SCORE - 1
    score = _score(_memory_request(container) + _memory_beyond(spec), capacity_bytes)
    if container.get("restartPolicy") == "Always" and spec.get("containers"):
        least = min(_memory_request(each) for each in spec["containers"])
        score = min(score, _score(least, capacity_bytes))
    return max(1000 + _GUARANTEED_OOM_SCORE, min(score, _BEST_EFFORT_OOM_SCORE - 1))


def _score(request: Decimal, capacity_bytes: int) -> int:
    return 1000 - int(1000 * request / capacity_bytes)


def _is_node_critical(spec: Body) -> bool:
    return (spec.get("priority") or 0) >= _CRITICAL_PRIORITY and spec.get("priorityClassName") == _NODE_CRITICAL


def _memory_request(container: Body) -> Decimal:
    requests, limits = _amounts(container)
    return requests.get("memory", limits.get("memory", Decimal(0)))


def _memory_beyond(spec: Body) -> Decimal:
    """Return each container's part of what the pod itself requests beyond them."""
    requests, limits = _amounts(spec)
    stated = requests.get("memory", limits.get("memory"))
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    lasting = [*(spec.get("containers") or ()), *sidecars]
    if stated is None or not lasting:
        return Decimal(0)
    return max(Decimal(0), stated - sum(map(_memory_request, lasting))) / len(lasting)


def _nonzero(amounts: dict[str, Decimal]) -> dict[str, Decimal]:
    return {name: amount for name, amount in amounts.items() if amount != 0}


def _amounts(holder: Body) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Return what a container, or a pod's spec, requests and limits of what counts."""
    resources = holder.get("resources") or {}
    requests, limits = (
        {name: parse_quantity(amount) for name, amount in (resources.get(part) or {}).items() if name in _COUNTED}
        for part in ("requests", "limits")
    )
    return requests, limits
