"""Admission of mirrors of static pods, and of whatever pod a node asks for itself.

Source: Kubernetes ``plugin/pkg/admission/noderestriction`` and ``serviceaccount``.
"""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.errors import Forbidden
from protocol.objects.keys import Body
from protocol.objects.mirrors import is_mirror, refused_references
from protocol.objects.resources import PODS
from protocol.objects.wellknown import MIRROR


class MirrorPods:
    """Holds mirrors to naming nothing that could be read through them, and nodes to mirrors of their own."""

    validating = True

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations of pods."""
        return operation is Operation.CREATE and resource == PODS and not subresource

    async def admit(self, admission: Admission) -> None:
        """Refuse what a mirror may not be.

        Raises:
            Forbidden: It names objects of the API, or a node asks for another pod than a mirror of its own.
        """
        pod, node = admission.body, admission.context.node
        if is_mirror(pod):
            named = refused_references(pod)
            if named:
                raise _refused(admission, f"a mirror pod may not reference {', '.join(named)}")
        if not node:
            return
        if not is_mirror(pod):
            raise _refused(
                admission, f'pod does not have "{MIRROR}" annotation, node {node!r} can only create mirror pods'
            )
        if pod["spec"].get("nodeName") != node:
            raise _refused(admission, f"node {node!r} can only create pods with spec.nodeName set to itself")
        if not _is_owned_by(pod, node):
            raise _refused(admission, f"node {node!r} can only create pods that its own Node owns, and nothing else")


def _is_owned_by(pod: Body, node: str) -> bool:
    owners = pod["metadata"].get("ownerReferences") or []
    return [(each.get("apiVersion"), each.get("kind"), each.get("name")) for each in owners] == [("v1", "Node", node)]


def _refused(admission: Admission, why: str) -> Forbidden:
    return failures.forbidden(admission.target.kind, admission.target.name, why)
