"""Pods with resources, and gates for them, for tests of what a node admits."""

from __future__ import annotations

from typing import Any

from edgecore.scheduler.admission import Admission
from edgecore.scheduler.fitness import Site
from protocol.objects.keys import Body

ON_FULL = "edge.aiokubeedge.io/on-full"
SLA = "edge.aiokubeedge.io/sla"
SITE = Site("edge-1", "linux", frozenset({"process"}))
ALLOCATABLE = {"cpu": 2000, "memory": 1 << 30, "pods": 10}


def a_claimant(
    uid: str,
    *,
    cpu: str | None = None,
    limits: dict[str, str] | None = None,
    on_full: str = "",
    sla: str = "",
    created: str = "2026-11-23T12:00:00Z",
    **spec: Any,
) -> Body:
    """Return a pod named by its uid, with one container that requests ``cpu``."""
    resources = {"requests": {"cpu": cpu} if cpu else {}, "limits": limits or {}}
    container = {"name": "main", "image": "img:1", "command": ["serve"], "resources": resources}
    metadata: Body = {"namespace": "default", "name": uid, "uid": uid, "creationTimestamp": created}
    metadata["annotations"] = {ON_FULL: on_full} if on_full else {}
    metadata["labels"] = {SLA: sla} if sla else {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


def a_gate(*, smaller: bool = False, devices: dict[str, int] | None = None, **allocatable: int) -> Admission:
    """Return a gate of a node with two cores, 1 GiB and room for ten pods, ``allocatable`` changing that."""
    return Admission({**ALLOCATABLE, **allocatable, **(devices or {})}, site=lambda: SITE, smaller=smaller)
