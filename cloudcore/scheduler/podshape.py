"""What the scheduler needs to know of a pod; pods that ask for the same are one shape. Sans-IO.

Placing ten thousand replicas of one template is placing one shape ten thousand times: everything that can be kept
from one placement to the next is kept per shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from cloudcore.scheduler.resources import scored_requests
from protocol.objects.keys import Body
from protocol.objects.podrequests import Amounts
from protocol.objects.selectors import Requirement, Selector, requirements_of
from protocol.objects.sla import Tier, pod_charge

ShapeKey = bytes

_CONTAINER_FIELDS = ("resources", "restartPolicy")


@dataclass(frozen=True, slots=True)
class NodeTerm:
    """A ``NodeSelectorTerm``: all labels and all fields must match. An empty term matches nothing."""

    labels: Selector
    fields: Selector


@dataclass(frozen=True, slots=True)
class PreferredTerm:
    """A preference for nodes that match ``term``, worth ``weight`` (1 to 100)."""

    weight: int
    term: NodeTerm


@dataclass(frozen=True, slots=True, eq=False)
class PodShape:
    """Everything about a pod that decides where it can go.

    Attributes:
        requests: What it takes of a node by its SLA tier, zeros left out, one of ``pods`` included.
        scored_cpu_milli: Its cpu as scores count it.
        scored_memory_bytes: Its memory as scores count it.
        node_name: The node it names itself; empty for any.
        node_selector: ``spec.nodeSelector``.
        required: Required node affinity: one of the terms must match; None where there is none.
        preferred: Preferred node affinity.
        tolerations: Its tolerations.
        runtime: The runtime that it needs; empty for any.
        volumes: For each claim with a place, or several it could have, the terms of which one must match.
        unbound: Whether some of its claims are not bound yet.
        demands: Equal for pods that ask the same of a node's features, whatever resources they request.
    """

    requests: Amounts
    scored_cpu_milli: int
    scored_memory_bytes: int
    node_name: str = ""
    node_selector: Selector = ()
    required: tuple[NodeTerm, ...] | None = None
    preferred: tuple[PreferredTerm, ...] = ()
    tolerations: tuple[Body, ...] = ()
    runtime: str = ""
    volumes: tuple[tuple[NodeTerm, ...], ...] = ()
    unbound: bool = False
    demands: ShapeKey = b""


def shape_key(spec: Body, tier: Tier | None = None) -> ShapeKey:
    """Return equal bytes for the specs and SLA tiers of pods of one shape."""
    return orjson.dumps(
        (
            tier,
            [[container.get("resources")] for container in spec.get("containers") or ()],
            [[container.get(name) for name in _CONTAINER_FIELDS] for container in spec.get("initContainers") or ()],
            spec.get("overhead"),
            spec.get("resources"),
            _demands(spec),
        )
    )


def _demands(spec: Body) -> tuple[object, ...]:
    affinity = spec.get("affinity") or {}
    return (
        spec.get("nodeName"),
        spec.get("nodeSelector"),
        affinity.get("nodeAffinity"),
        spec.get("tolerations"),
        spec.get("runtimeClassName"),
    )


def shape_of(spec: Body, handlers: Mapping[str, str], tier: Tier | None = None) -> PodShape:
    """Read a pod's ``spec``.

    Args:
        spec: The spec, validated by the API.
        handlers: RuntimeClass name → handler, for the classes there are.
        tier: The pod's SLA tier, by which it is charged.
    """
    cpu, memory = scored_requests(spec)
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    runtime_class = spec.get("runtimeClassName") or ""
    return PodShape(
        requests=pod_charge(spec, tier),
        scored_cpu_milli=cpu,
        scored_memory_bytes=memory,
        node_name=spec.get("nodeName") or "",
        node_selector=tuple(
            Requirement(key, "In", (value,)) for key, value in (spec.get("nodeSelector") or {}).items()
        ),
        required=tuple(map(term_of, required.get("nodeSelectorTerms") or ())) if required is not None else None,
        preferred=tuple(PreferredTerm(item["weight"], term_of(item.get("preference") or {})) for item in preferred),
        tolerations=tuple(spec.get("tolerations") or ()),
        runtime=handlers.get(runtime_class, runtime_class),
        demands=orjson.dumps(_demands(spec)),
    )


def term_of(body: Body) -> NodeTerm:
    """Read a ``NodeSelectorTerm``."""
    return NodeTerm(requirements_of(body.get("matchExpressions") or ()), requirements_of(body.get("matchFields") or ()))
