"""Rules of the kinds that describe the cluster: nodes, leases, events, runtime and priority classes.

Source: Kubernetes ``Validate*`` of the kinds' groups.
"""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver.validation.fields import forbidden, invalid, one_of, required
from cloudcore.apiserver.validation.metadata import check_name
from cloudcore.apiserver.validation.quantities import check_amounts
from cloudcore.apiserver.validation.scheduling import check_taints
from cloudcore.errors import Cause
from protocol.objects.keys import Body

_HIGHEST_USER_PRIORITY: Final = 1_000_000_000
_PREEMPTION: Final = frozenset({"Never", "PreemptLowerPriority"})
_EVENT_TYPES: Final = frozenset({"Normal", "Warning"})
_IMMUTABLE: Final = "field is immutable"


def check_node(body: Body) -> list[Cause]:
    """Return what is wrong with a Node."""
    taints = (body.get("spec") or {}).get("taints")
    causes = check_taints("spec.taints", taints) if taints else []
    return causes + check_node_status(body, body)


def check_node_status(body: Body, _old: Body) -> list[Cause]:
    """Return what is wrong with a Node's status: what the lifecycle controller could not write a taint beside."""
    status = body.get("status") or {}
    causes = []
    for name in ("capacity", "allocatable"):
        causes += check_amounts(f"status.{name}", status.get(name) or {})
    for index, condition in enumerate(status.get("conditions") or ()):
        causes += [
            required(f"status.conditions[{index}].{name}") for name in ("type", "status") if not condition.get(name)
        ]
    return causes


def check_node_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed Node: some fields are set once."""
    spec, before = body.get("spec") or {}, old.get("spec") or {}
    why = "node updates may only change labels, taints, or capacity"
    return [
        forbidden(f"spec.{name}", why)
        for name in ("podCIDR", "providerID")
        if before.get(name) and spec.get(name) != before[name]
    ]


def check_lease(body: Body) -> list[Cause]:
    """Return what is wrong with a Lease."""
    spec = body.get("spec") or {}
    causes = []
    if spec.get("leaseDurationSeconds", 1) <= 0:
        causes.append(invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0"))
    if spec.get("leaseTransitions", 0) < 0:
        causes.append(invalid("spec.leaseTransitions", spec["leaseTransitions"], "must be greater than or equal to 0"))
    return causes


def check_event(body: Body) -> list[Cause]:
    """Return what is wrong with an Event: it lies in the namespace of what it is about."""
    namespace = body["metadata"].get("namespace", "")
    about = (body.get("involvedObject") or {}).get("namespace", "")
    if about == namespace or (not about and namespace in {"default", "kube-system"}):
        return []
    return [invalid("involvedObject.namespace", about, "does not match event.namespace")]


def check_new_event(body: Body) -> list[Cause]:
    """Return what is wrong with an Event of ``events.k8s.io/v1``, which asks for more than the older one."""
    causes = [
        required(name)
        for name in ("reportingController", "reportingInstance", "action", "reason")
        if not body.get(name)
    ]
    causes += one_of("type", body.get("type"), _EVENT_TYPES)
    return causes + [
        forbidden(name, "needs to be unset")
        for name in ("deprecatedCount", "deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedSource")
        if body.get(name)
    ]


def check_runtime_class(body: Body) -> list[Cause]:
    """Return what is wrong with a RuntimeClass."""
    handler = body.get("handler", "")
    causes = check_name("label", "handler", handler) if handler else [required("handler")]
    overhead = (body.get("overhead") or {}).get("podFixed")
    return causes + check_amounts("overhead.podFixed", overhead) if overhead else causes


def check_runtime_class_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed RuntimeClass: its handler is immutable."""
    return [] if body.get("handler") == old.get("handler") else [invalid("handler", body.get("handler"), _IMMUTABLE)]


def check_priority_class(body: Body) -> list[Cause]:
    """Return what is wrong with a PriorityClass."""
    name, value = body["metadata"].get("name", ""), body.get("value", 0)
    causes = one_of("preemptionPolicy", body.get("preemptionPolicy"), _PREEMPTION)
    if name.startswith("system-"):
        if name not in {"system-cluster-critical", "system-node-critical"}:
            why = "priority class names with 'system-' prefix are reserved for system use only"
            causes.append(forbidden("metadata.name", why))
    elif value > _HIGHEST_USER_PRIORITY:
        detail = f"maximum allowed value of a user defined priority is {_HIGHEST_USER_PRIORITY}"
        causes.append(forbidden("value", detail))
    return causes


def check_priority_class_update(body: Body, old: Body) -> list[Cause]:
    """Return what is wrong with a changed PriorityClass: its value and preemption policy are immutable."""
    return [
        forbidden(name, "may not be changed in an update.")
        for name in ("value", "preemptionPolicy")
        if body.get(name) != old.get(name)
    ]
