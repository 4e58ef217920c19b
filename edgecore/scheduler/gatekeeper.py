"""Puts the admission of pods together from what the agent knows of its node: its store, its facts, its allotment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgecore.meta.base import Desired
from edgecore.metrics.exposition import Family
from edgecore.node.facts import Facts, operating_system
from edgecore.node.status import Allotment, node_status
from edgecore.scheduler.admission import Admission
from edgecore.scheduler.fitness import Site
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.podrequests import CPU, Amounts, known_amounts
from protocol.objects.resources import NODES, RUNTIME_CLASSES

ROOM: Final = "edge.aiokubeedge.io/RoomForPods"
"""Type of the node condition that is False while pods wait for room."""


def gatekeeper(node: str, desired: Desired, facts: Facts, allotment: Allotment, before: Body) -> Admission:
    """Return what decides which pods this node takes.

    Args:
        node: Its name.
        desired: The store, which holds its Node object and the RuntimeClasses that its pods name.
        facts: The machine.
        allotment: What of it is for pods.
        before: The node's status as an earlier agent last reported it, or empty.
    """
    runtimes = frozenset(allotment.runtimes)

    def site() -> Site:
        held = desired.get(ObjectKey(NODES, "", node))
        return Site(node, operating_system(), runtimes, None if held is None else held.body)

    def handler_of(pod: Body) -> str | None:
        name = pod["spec"].get("runtimeClassName")
        held = desired.get(ObjectKey(RUNTIME_CLASSES, "", name)) if name else None
        return None if held is None else str(held.body.get("handler", name))

    allocatable = known_amounts(node_status(facts, allotment, (), 0.0)["allocatable"])
    smaller = is_smaller(allocatable, known_amounts(before.get("allocatable") or {}))
    return Admission(allocatable, site=site, handler_of=handler_of, smaller=smaller)


def is_smaller(now: Amounts, before: Amounts) -> bool:
    """Tell whether there is less of anything than there was."""
    return any(now.get(name, 0) < amount for name, amount in before.items())


def room_condition(admission: Admission, *, waited: bool) -> Body | None:
    """Return the node's condition :data:`ROOM`: who waits, and what those that do not are charged.

    Args:
        admission: Who decides.
        waited: Whether the condition was told of before: a node on which nobody ever waits needs none.
    """
    waiting, charged, have = admission.queue(), admission.charged, admission.allocatable
    if not waiting:
        return _room("True", "RoomForAllPods", "no pod waits for room") if waited or admission.waited else None
    sums = ", ".join(f"{name} {_base(name, charged[name]):g} of {_base(name, have.get(name, 0)):g}" for name in charged)
    return _room("False", "PodsWait", f"{len(waiting)} pods wait for room; charged are {sums}")


def _room(status: str, reason: str, message: str) -> Body:
    return {"type": ROOM, "status": status, "reason": reason, "message": message}


def admission_families(admission: Admission) -> Iterator[Family]:
    """Yield metrics of what pods are charged and who waits."""
    charged = [({"resource": name}, _base(name, amount)) for name, amount in sorted(admission.charged.items())]
    yield Family("aiokubeedge_edge_charged", "What the pods here are charged by their SLA tiers.", charged)
    have = [({"resource": name}, _base(name, amount)) for name, amount in sorted(admission.allocatable.items())]
    yield Family("aiokubeedge_edge_allocatable", "What the node has for pods.", have)
    yield Family("aiokubeedge_edge_queued_pods", "Pods that wait for room.", [({}, float(len(admission.queue())))])


def _base(resource: str, amount: int) -> float:
    return amount / 1000 if resource == CPU else float(amount)
