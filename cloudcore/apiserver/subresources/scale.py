"""The ``scale`` subresource: ``autoscaling/v1`` Scale over ``spec.replicas``."""

from __future__ import annotations

from typing import Any

from cloudcore.errors import BadRequest
from protocol.objects.keys import Body
from protocol.objects.selectors import Requirement, label_selector


class ScaleView:
    """Reads as a Scale; writing changes ``spec.replicas`` and nothing else."""

    is_whole = False
    status_only = False

    def read(self, body: Body) -> Body:
        """Return the Scale of a workload."""
        metadata = body["metadata"]
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        spec: dict[str, Any] = body.get("spec") or {}
        status: dict[str, Any] = body.get("status") or {}
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {key: metadata[key] for key in kept if key in metadata},
            "spec": {"replicas": spec.get("replicas", 1)},
            "status": {
                "replicas": status.get("replicas", 0),
                "selector": ",".join(map(_text, label_selector(spec.get("selector")))),
            },
        }

    def write(self, old: Body, view: Body) -> Body:
        """Return the workload with the Scale's replicas."""
        replicas = spec_of(view).get("replicas", 0)
        return {**old, "spec": {**(old.get("spec") or {}), "replicas": replicas}}


def spec_of(view: Body) -> Body:
    """Return the ``spec`` of a subresource's body; an absent one is empty.

    Raises:
        BadRequest: It is not an object.
    """
    spec = view.get("spec") or {}
    if not isinstance(spec, dict):
        raise BadRequest("the spec must be an object")
    return spec


def _text(requirement: Requirement) -> str:
    """Return a requirement as a label selector's text has it."""
    match requirement.operator:
        case "Exists":
            return requirement.key
        case "DoesNotExist":
            return f"!{requirement.key}"
        case "In" if len(requirement.values) == 1:
            return f"{requirement.key}={requirement.values[0]}"
    return f"{requirement.key} {requirement.operator.lower()} ({','.join(requirement.values)})"
