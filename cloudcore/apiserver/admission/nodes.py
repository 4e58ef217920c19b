"""Admission: the annotations of a Node that carry its identity are set at join and by nobody else.

Another cloud may have this one's API server as its store, and joins devices with an administrator's rights. So
administrators may set them, and a change that leaves them out still keeps them.
"""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from protocol.objects.keys import Body
from protocol.objects.resources import NODES
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID

_PROTECTED: Final = (INSTANCE_ID, CERTIFICATE)
_OWN_PREFIX: Final = "system:"
"""Of the names of the cloud's own parts, which are all administrators."""
_ADMINISTRATORS: Final = "system:masters"


class NodeIdentity:
    """Keeps a node's pinned instance and certificate from being changed through the API."""

    validating = False

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations and updates of nodes."""
        return operation is not Operation.DELETE and resource == NODES and not subresource

    async def admit(self, admission: Admission) -> None:
        """Refuse a change of the protected annotations by anyone but the cloud's own parts and administrators.

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
            elif wanted.get(name) != before.get(name) and not administers:
                target = admission.target
                raise failures.forbidden(target.kind, target.name, f"annotation {name} is set when a node joins")


def _annotations(node: Body) -> Body:
    annotations: Body = node["metadata"].get("annotations") or {}
    return annotations
