"""Names for things: what every package calls an object, a node, a revision."""

from __future__ import annotations

from typing import Any, NamedTuple, NewType

NodeName = NewType("NodeName", str)
Uid = NewType("Uid", str)
Revision = NewType("Revision", int)
"""A store-wide, ever-growing number; Kubernetes' ``resourceVersion`` as an integer."""

Body = dict[str, Any]
"""A Kubernetes object as decoded JSON. Never validated by type: unknown fields must survive."""


class ObjectKey(NamedTuple):
    """Identifies an object within one cluster.

    Attributes:
        resource: The group-resource as Kubernetes writes it: ``pods``, ``deployments.apps``,
            ``leases.coordination.k8s.io``.
        namespace: Empty for cluster-scoped objects.
        name: The object's name.
    """

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return ``resource/namespace/name``, without the namespace for cluster-scoped objects."""
        return f"{self.resource}/{self.namespace}/{self.name}" if self.namespace else f"{self.resource}/{self.name}"


def key_of(resource: str, body: Body) -> ObjectKey:
    """Return the key under which ``body`` is stored as a ``resource``."""
    metadata = body["metadata"]
    return ObjectKey(resource, metadata.get("namespace", ""), metadata["name"])
