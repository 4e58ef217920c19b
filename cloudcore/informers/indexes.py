"""Index functions that several parts share. A name always stands for the same function."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.objects.keys import Body
from protocol.objects.references import pod_references
from protocol.objects.resources import CLAIMS

BY_NODE = "node"
BY_CONTROLLER = "controller-uid"
BY_OWNER = "owner-uid"
ORPHANS = "orphans"
BY_CLAIM = "claim"


def node_of_pod(pod: Body) -> Iterable[str]:
    """Return the node a pod is bound to, if any."""
    node = pod.get("spec", {}).get("nodeName")
    return (node,) if node else ()


def claims_of_pod(pod: Body) -> Iterable[str]:
    """Return ``namespace/name`` of each claim that a pod names."""
    if not pod["spec"].get("volumes"):
        return ()
    return [f"{key.namespace}/{key.name}" for key in pod_references(pod) if key.resource == CLAIMS]


def controller_uid(body: Body) -> Iterable[str]:
    """Return the uid of the object's managing controller, if any."""
    return [owner["uid"] for owner in _owners(body) if owner.get("controller")]


def orphan_namespace(body: Body) -> Iterable[str]:
    """Return the namespace of an object that no controller manages; nothing for the others."""
    return () if any(True for _ in controller_uid(body)) else (body["metadata"].get("namespace", ""),)


def owner_uids(body: Body) -> Iterable[str]:
    """Return the uids of all owners."""
    return [owner["uid"] for owner in _owners(body)]


def _owners(body: Body) -> list[Body]:
    owners: list[Body] = body["metadata"].get("ownerReferences") or []
    return owners
