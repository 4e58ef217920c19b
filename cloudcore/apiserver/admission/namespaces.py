"""Admission: objects are made only in namespaces that exist and stay; some namespaces cannot be deleted."""

from __future__ import annotations

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.errors import Cause, NotFound
from protocol.objects.keys import Body, ObjectKey, Revision
from protocol.objects.resources import NAMESPACES

_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


class NamespaceLifecycle:
    """Kubernetes' plugin of that name. Runs first."""

    validating = False

    def __init__(self) -> None:
        # What was read of each namespace, so that it is decoded once per revision of it and not once per write.
        self._going: dict[str, tuple[Revision, str]] = {}

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in every creation."""
        del resource
        return operation is Operation.CREATE and not subresource

    async def admit(self, admission: Admission) -> None:
        """Refuse creations in a namespace that is not there or is being deleted.

        Raises:
            Forbidden: The namespace is being deleted.
            NotFound: There is no such namespace.
        """
        namespace, kind = admission.target.namespace, admission.target.kind
        if not namespace:
            return
        try:
            record = await admission.store.get(ObjectKey(NAMESPACES, "", namespace))
        except NotFound:
            self._going.pop(namespace, None)
            details = {"name": namespace, "kind": "namespaces"}
            raise NotFound(f'namespaces "{namespace}" not found', details=details) from None
        known = self._going.get(namespace)
        if known is None or known[0] != record.revision:
            known = self._going[namespace] = (record.revision, _deleted_at(record.decode()))
        if known[1]:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
            raise failures.forbidden(kind, admission.target.name, why, [cause])


class ProtectedNamespaces:
    """Refuses to delete the namespaces that the system rests on."""

    validating = True

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in deletions of namespaces."""
        del subresource
        return operation is Operation.DELETE and resource == NAMESPACES

    async def admit(self, admission: Admission) -> None:
        """Refuse.

        Raises:
            Forbidden: The namespace is one of the system's.
        """
        if admission.target.name in _IMMORTAL:
            raise failures.forbidden(admission.target.kind, admission.target.name, "this namespace may not be deleted")


def _deleted_at(namespace: Body) -> str:
    deleted_at: str = namespace["metadata"].get("deletionTimestamp") or ""
    return deleted_at
