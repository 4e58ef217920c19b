"""What a pod adds up to on a node, from what its containers state, in every resource.

Kubernetes' rules for init containers, sidecars and overhead. Source: core/v1 ``PodSpec``; Kubernetes "Init Containers",
"Sidecar Containers", "Pod Overhead". What its control group is held to is in :mod:`protocol.objects.podresources`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from protocol.objects.keys import Body
from protocol.objects.quantities import LARGEST, base_units

CPU: Final = "cpu"
MEMORY: Final = "memory"
EPHEMERAL: Final = "ephemeral-storage"
PODS: Final = "pods"

MOST: Final = LARGEST >> 7
"""What a pod counts for at most, in any resource: more than any node has, and a node's pods still add up to 64 bits."""

Amounts = dict[str, int]
"""Resource name → amount in base units (millicores for cpu)."""


def pod_requests(spec: Body) -> Amounts:
    """Return what a pod with ``spec`` requests, with one of ``pods``.

    Ordinary containers and sidecars (init containers that restart always) run together; an init container runs with
    the sidecars before it; the pod needs the larger of the two, and its overhead on top. Pod-level requests stand in
    for the containers'. Zero requests are left out.

    Raises:
        ValueError: A quantity cannot be read.
    """
    total = effective(spec, requested)
    total.update(requested(spec))
    return with_overhead(total, spec)


def with_overhead(total: Amounts, spec: Body) -> Amounts:
    """Return ``total`` with the pod's overhead and one of ``pods``; within bounds, zeros left out."""
    total = dict(total)
    add(total, amounts(spec.get("overhead") or {}))
    total = {name: min(amount, MOST) for name, amount in total.items() if amount > 0}
    total[PODS] = 1
    return total


def effective(spec: Body, counted: Callable[[Body], Amounts]) -> Amounts:
    """Return what the pod's containers come to at the moment when they need most.

    Args:
        spec: The pod's spec.
        counted: Tells what one container counts for.
    """
    running: Amounts = {}
    for container in spec.get("containers") or ():
        add(running, counted(container))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        needs = counted(container)
        if container.get("restartPolicy") == "Always":
            add(sidecars, needs)
            needs = {}
        _raise(peak, _sum(sidecars, needs))
    add(running, sidecars)
    _raise(running, peak)
    return running


def requested(holder: Body) -> Amounts:
    """Return what a container, or a pod's spec, requests itself; a limit stands in for a request that is missing."""
    resources = holder.get("resources") or {}
    return amounts(resources.get("limits") or {}) | amounts(resources.get("requests") or {})


def limited(holder: Body) -> Amounts:
    """Return what a container, or a pod's spec, may take at most; a request stands in for a limit that is missing."""
    resources = holder.get("resources") or {}
    return amounts(resources.get("requests") or {}) | amounts(resources.get("limits") or {})


def amounts(quantities: Mapping[str, str]) -> Amounts:
    """Return quantities in base units.

    Raises:
        ValueError: One cannot be read.
    """
    return {name: base_units(name, text) for name, text in quantities.items()}


def known_amounts(quantities: Mapping[str, str]) -> Amounts:
    """Return a node's quantities; one that cannot be read counts as none there."""
    found: Amounts = {}
    for name, text in quantities.items():
        try:
            found[name] = base_units(name, text)
        except ValueError:
            found[name] = 0
    return found


def add(total: Amounts, more: Amounts) -> None:
    """Add ``more`` to ``total``."""
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise(total: Amounts, floor: Amounts) -> None:
    for name, amount in floor.items():
        total[name] = max(total.get(name, 0), amount)


def _sum(one: Amounts, other: Amounts) -> Amounts:
    total = dict(one)
    add(total, other)
    return total
