"""What a pod asks of a node, by Kubernetes' rules. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.objects.keys import Body
from protocol.objects.quantities import LARGEST, base_units

CPU: Final = "cpu"
MEMORY: Final = "memory"
EPHEMERAL: Final = "ephemeral-storage"
PODS: Final = "pods"

DEFAULT_CPU_MILLI: Final = 100
DEFAULT_MEMORY_BYTES: Final = 200 * 1024 * 1024
"""What a container that requests nothing is taken to use when nodes are scored (never when they are filtered)."""

MOST: Final = LARGEST >> 7
"""What a pod counts for at most, in any resource: more than any node has, and a node's pods still add up to 64 bits."""

Amounts = dict[str, int]
"""Resource name → amount in base units (millicores for cpu)."""
_Requests = Callable[[Body], Amounts]


def pod_requests(spec: Body) -> Amounts:
    """Return what a pod with ``spec`` requests, with one of ``pods``.

    Ordinary containers and sidecars (init containers that restart always) run together; an init container runs with
    the sidecars before it; the pod needs the larger of the two, and its overhead on top. Pod-level requests stand in
    for the containers'. Zero requests are left out.
    """
    total = _effective(spec, _requests)
    total.update(_amounts((spec.get("resources") or {}).get("requests") or {}))
    _add(total, _amounts(spec.get("overhead") or {}))
    total = {name: min(amount, MOST) for name, amount in total.items() if amount > 0}
    total[PODS] = 1
    return total


def scored_requests(spec: Body) -> tuple[int, int]:
    """Return cpu (milli) and memory (bytes) as scores count them: a container without a request counts a default."""
    total = _effective(spec, _requests_or_default)
    _add(total, _amounts(spec.get("overhead") or {}))
    return min(total.get(CPU, 0), MOST), min(total.get(MEMORY, 0), MOST)


def _effective(spec: Body, requests: _Requests) -> Amounts:
    running: Amounts = {}
    for container in spec.get("containers") or ():
        _add(running, requests(container))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        needs = requests(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, needs)
            needs = {}
        _raise(peak, _sum(sidecars, needs))
    _add(running, sidecars)
    _raise(running, peak)
    return running


def _requests(container: Body) -> Amounts:
    return _amounts((container.get("resources") or {}).get("requests") or {})


def _requests_or_default(container: Body) -> Amounts:
    return {CPU: DEFAULT_CPU_MILLI, MEMORY: DEFAULT_MEMORY_BYTES, **_requests(container)}


def _amounts(quantities: Body) -> Amounts:
    return {name: base_units(name, text) for name, text in quantities.items()}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise(total: Amounts, floor: Amounts) -> None:
    for name, amount in floor.items():
        total[name] = max(total.get(name, 0), amount)


def _sum(one: Amounts, other: Amounts) -> Amounts:
    total = dict(one)
    _add(total, other)
    return total


def known_amounts(quantities: Body) -> Amounts:
    """Return a node's quantities; one that cannot be read counts as none there."""
    found: Amounts = {}
    for name, text in quantities.items():
        try:
            found[name] = base_units(name, text)
        except ValueError:
            found[name] = 0
    return found
