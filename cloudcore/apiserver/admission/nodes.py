"""Admission: what is said about a node that the node itself, or not everybody, may say.

The annotations of a Node that carry its identity are set at join and by nobody else. Another cloud may have this
one's API server as its store, and joins devices there. So administrators may set them, and whoever has the verb
``pin`` for nodes of the group ``edge.aiokubeedge.io``; a change that leaves them out still keeps them.

Of its Lease a node renews the time and what belongs to it; the rest would reach further than the node itself: an
owner has the garbage collector remove what it owns, a duration of weeks hides that the node is gone, and the bytes of
the day are what its cap is held against.
"""

from __future__ import annotations

from typing import Any, Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.http.authz import Attributes
from cloudcore.apiserver.rbac.rights import Rights
from cloudcore.errors import Forbidden, NotFound
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import LEASES, NODES
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID, TRAFFIC

LONGEST_LEASE_S: Final = 3600
"""The longest ``leaseDurationSeconds`` a node may give its Lease."""

GROUP: Final = "edge.aiokubeedge.io"
"""The API group under which roles give the right to pin nodes."""

_PROTECTED: Final = (INSTANCE_ID, CERTIFICATE)
_OWN_PREFIX: Final = "system:"
"""Of the names of the cloud's own parts, which are all administrators."""
_ADMINISTRATORS: Final = "system:masters"


class NodeIdentity:
    """Keeps a node's pinned instance and certificate from being changed through the API.

    Args:
        rights: The rights of whoever writes; without them only administrators may.
    """

    validating = False

    def __init__(self, rights: Rights | None = None) -> None:
        self._rights = rights

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations and updates of nodes."""
        return operation is not Operation.DELETE and resource == NODES and not subresource

    async def admit(self, admission: Admission) -> None:
        """Refuse a change of the protected annotations by whoever may not pin nodes.

        A body that leaves them out keeps them: ``kubectl replace`` of a file must not unpin a node.

        Raises:
            Forbidden: The user may not set them.
        """
        context = admission.context
        administers = _ADMINISTRATORS in context.groups
        # The prefix alone says little: service accounts have it too, and whatever a certificate was approved for.
        if administers and context.user.startswith(_OWN_PREFIX):
            return
        before = _annotations(admission.old) if admission.old is not None else {}
        wanted = _annotations(admission.body)
        for name in _PROTECTED:
            if name in before and name not in wanted:
                admission.body["metadata"].setdefault("annotations", {})[name] = before[name]
            elif wanted.get(name) != before.get(name) and not (administers or self._may_pin(admission)):
                target = admission.target
                raise failures.forbidden(target.kind, target.name, f"annotation {name} is set when a node joins")

    def _may_pin(self, admission: Admission) -> bool:
        asked = Attributes("pin", NODES, GROUP, name=admission.body["metadata"].get("name", ""))
        return self._rights is not None and self._rights.allows(admission.context, asked)


class NodeLease:
    """Holds a node to what is its own to say in its Lease; which Lease that is, the authorizer has seen to."""

    validating = True

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations and updates of leases."""
        return operation is not Operation.DELETE and resource == LEASES and not subresource

    async def admit(self, admission: Admission) -> None:
        """Refuse a node foreign owners, a long duration, and any change of what the cloud counts.

        What is as it was before is not asked about: a node can always renew.

        Raises:
            Forbidden: The Lease says what is not the node's to say.
        """
        node = admission.context.node
        if not node:
            return
        body, old = admission.body, admission.old or {"metadata": {}}
        if _annotations(body).get(TRAFFIC) != _annotations(old).get(TRAFFIC):
            raise _refused(admission, f"node {node!r} may not change the annotation {TRAFFIC}, which the cloud writes")
        seconds = _duration(body)
        if seconds is not None and seconds > LONGEST_LEASE_S and seconds != _duration(old):
            why = f"node {node!r} may not set spec.leaseDurationSeconds above {LONGEST_LEASE_S}"
            raise _refused(admission, why)
        kept = old["metadata"].get("ownerReferences") or []
        for owner in body["metadata"].get("ownerReferences") or []:
            if owner not in kept and not await _is_own_node(admission, node, owner):
                raise _refused(admission, f"node {node!r} may set only its own Node as owner of its lease")


async def _is_own_node(admission: Admission, node: str, owner: Body) -> bool:
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        return False
    try:
        record = await admission.store.get(ObjectKey(NODES, "", node))
    except NotFound:
        return False
    return bool(owner.get("uid") == record.uid)


def _duration(lease: Body) -> Any:
    return (lease.get("spec") or {}).get("leaseDurationSeconds")


def _refused(admission: Admission, why: str) -> Forbidden:
    return failures.forbidden(admission.target.kind, admission.target.name, why)


def _annotations(body: Body) -> Body:
    annotations: Body = body["metadata"].get("annotations") or {}
    return annotations
