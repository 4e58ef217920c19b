"""What of an object a node is given, and which resources nodes are given at all.

A projection leaves out whatever changes without the desired state changing: ``managedFields``, the
``resourceVersion``, the status. Its version is the store revision at which anything else last changed, so a status
report never sends its own object back down (``docs/semantics.md``, "Versions and projections").
"""

from __future__ import annotations

from typing import Final

from protocol.objects.devices import DEVICE_MODELS, DEVICES
from protocol.objects.keys import Body
from protocol.objects.resources import (
    ACCOUNT_RULES,
    CLAIMS,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    NODES,
    PERSISTENT_VOLUMES,
    PODS,
    PRIORITY_CLASSES,
    RUNTIME_CLASSES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from protocol.objects.wellknown import LAST_APPLIED

NAMESPACE_RESOURCES: Final = frozenset({SERVICES, ENDPOINT_SLICES})
"""Resources of which a node holds all objects in the namespaces of its pods."""

SLICE_RESOURCES: Final = frozenset(
    {
        NODES,
        PODS,
        CONFIG_MAPS,
        SECRETS,
        CLAIMS,
        PERSISTENT_VOLUMES,
        SERVICE_ACCOUNTS,
        ACCOUNT_RULES,
        RUNTIME_CLASSES,
        PRIORITY_CLASSES,
        DEVICES,
        DEVICE_MODELS,
        *NAMESPACE_RESOURCES,
    }
)
"""Every resource of which a node's slice can hold objects."""

_LEFT_OUT_OF_METADATA: Final = frozenset({"managedFields", "resourceVersion", "selfLink"})


def projection(resource: str, body: Body) -> Body:
    """Return what nodes hold of ``body``.

    No projection carries a status, not even one the cloud owns: the version counts only changes outside it, so a
    status in the projection would go stale unnoticed.

    Args:
        resource: The object's group-resource, one of :data:`SLICE_RESOURCES`.
        body: The object; it is not changed, and parts of it are shared with the result.

    Raises:
        ValueError: ``resource`` is never on a node.
    """
    if resource not in SLICE_RESOURCES:
        raise ValueError(f"{resource} is in no node's slice")
    metadata = {name: value for name, value in body["metadata"].items() if name not in _LEFT_OUT_OF_METADATA}
    annotations = metadata.get("annotations")
    if annotations and LAST_APPLIED in annotations:
        kept = {name: value for name, value in annotations.items() if name != LAST_APPLIED}
        metadata["annotations"] = kept
        if not kept:
            del metadata["annotations"]
    return {name: metadata if name == "metadata" else value for name, value in body.items() if name != "status"}
