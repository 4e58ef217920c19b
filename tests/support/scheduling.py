"""Nodes and pods as the scheduler's tests need them."""

from __future__ import annotations

from typing import Any

from protocol.objects.keys import Body

RUNTIMES = "edge.aiokubeedge.io/runtimes"


def node(
    name: str = "n1",
    *,
    cpu: str = "4",
    memory: str = "8Gi",
    pods: str = "110",
    labels: dict[str, str] | None = None,
    taints: list[Body] | None = None,
    unschedulable: bool = False,
    runtimes: str = "",
    extended: dict[str, str] | None = None,
) -> Body:
    spec: Body = {"taints": taints or []}
    if unschedulable:
        spec["unschedulable"] = True
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, **(labels or {})},
            "annotations": {RUNTIMES: runtimes} if runtimes else {},
        },
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods, **(extended or {})}},
    }


def container(**requests: str) -> Body:
    return {"name": "c", "image": "nginx:1", "resources": {"requests": requests}}


def pod(name: str = "web", *, requests: dict[str, str] | None = None, **spec: Any) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"containers": [container(**(requests or {}))], "schedulerName": "default-scheduler", **spec},
    }


def required_affinity(*terms: Body) -> Body:
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}},
    }


def preferred_affinity(*preferences: tuple[int, Body]) -> Body:
    listed = [{"weight": weight, "preference": term} for weight, term in preferences]
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": listed}}


def expression(key: str, operator: str, *values: str) -> Body:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def taint(key: str, value: str = "", effect: str = "NoSchedule") -> Body:
    return {"key": key, "value": value, "effect": effect}
