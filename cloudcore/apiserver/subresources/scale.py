"""The ``scale`` subresource: ``autoscaling/v1`` Scale over ``spec.replicas``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudcore.apiserver.custom.jsonpath import parse
from cloudcore.errors import BadRequest
from protocol.objects.keys import Body
from protocol.objects.selectors import Requirement, label_selector

_KEPT: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


class ScaleView:
    """Reads as a Scale; writing changes ``spec.replicas`` and nothing else."""

    is_whole = False
    status_only = False

    def read(self, body: Body) -> Body:
        """Return the Scale of a workload."""
        metadata = body["metadata"]
        spec: dict[str, Any] = body.get("spec") or {}
        status: dict[str, Any] = body.get("status") or {}
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {key: metadata[key] for key in _KEPT if key in metadata},
            "spec": {"replicas": spec.get("replicas", 1)},
            "status": {
                "replicas": status.get("replicas", 0),
                "selector": ",".join(map(_text, label_selector(_selector(body, spec)))),
            },
        }

    def write(self, old: Body, view: Body) -> Body:
        """Return the workload with the Scale's replicas."""
        replicas = spec_of(view).get("replicas", 0)
        return {**old, "spec": {**(old.get("spec") or {}), "replicas": replicas}}


class CustomScaleView:
    """A Scale over the fields that a custom kind's definition names.

    Args:
        paths: ``specReplicasPath``, ``statusReplicasPath`` and, if it has one, ``labelSelectorPath``.
    """

    is_whole = False
    status_only = False

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = paths

    def read(self, body: Body) -> Body:
        """Return the Scale of a custom object."""
        replicas = parse(self._paths["specReplicasPath"]).first(body) or 0
        metadata = body["metadata"]
        selector = parse(self._paths["labelSelectorPath"]).first(body) if self._paths.get("labelSelectorPath") else None
        status = {"replicas": parse(self._paths["statusReplicasPath"]).first(body) or 0}
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {key: metadata[key] for key in _KEPT if key in metadata},
            "spec": {"replicas": replicas},
            "status": {**status, "selector": selector} if isinstance(selector, str) and selector else status,
        }

    def write(self, old: Body, view: Body) -> Body:
        """Return the object with the Scale's replicas."""
        *names, last = parse(self._paths["specReplicasPath"]).names
        node = old
        for name in names:
            node = node.setdefault(name, {})
        node[last] = spec_of(view).get("replicas", 0)
        return old


def spec_of(view: Body) -> Body:
    """Return the ``spec`` of a subresource's body; an absent one is empty.

    Raises:
        BadRequest: It is not an object.
    """
    spec = view.get("spec") or {}
    if not isinstance(spec, dict):
        raise BadRequest("the spec must be an object")
    return spec


def _selector(body: Body, spec: Body) -> Body | None:
    """Return the label selector of a workload; that of a ReplicationController is a plain map of labels."""
    selector: Body | None = spec.get("selector")
    return {"matchLabels": selector} if body.get("kind") == "ReplicationController" else selector


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
