"""Admission: nobody gives, by a role or a binding, more than they have.

Source: Kubernetes ``pkg/registry/rbac/*/policybased``. The verbs ``escalate`` on roles and ``bind`` on roles lift this.
"""

from __future__ import annotations

from typing import Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.http.authn import MASTERS
from cloudcore.apiserver.http.authz import Attributes
from cloudcore.apiserver.rbac.rights import Rights
from cloudcore.apiserver.rbac.roles import CLUSTER_ROLES, GROUP, RESOURCES, ROLES
from cloudcore.apiserver.rbac.rules import Rule
from cloudcore.errors import NotFound
from protocol.objects.keys import Body, ObjectKey

_WRITES: Final = (Operation.CREATE, Operation.UPDATE)
_OF_GARBAGE_COLLECTION: Final = frozenset({"ownerReferences", "finalizers"})
_OF_THE_SERVER: Final = frozenset({"managedFields", "resourceVersion"})
_EVERYTHING: Final = (Rule(("*",), ("*",), ("*",)), Rule(("*",), paths=("*",)))


class RoleEscalation:
    """Refuses roles and bindings that would give more than their author has.

    Args:
        rights: The rights of whoever writes.
    """

    validating = True

    def __init__(self, rights: Rights) -> None:
        self._rights = rights

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations and changes of roles and bindings."""
        return operation in _WRITES and resource in RESOURCES and not subresource

    async def admit(self, admission: Admission) -> None:
        """Refuse what goes beyond the writer's own rights.

        Raises:
            Forbidden: It does.
            NotFound: The role to be bound is not there, so that nobody can tell.
        """
        if MASTERS in admission.context.groups or not _changed(admission):
            return
        if admission.target.kind.resource in (ROLES, CLUSTER_ROLES):
            self._admit_role(admission)
        else:
            await self._admit_binding(admission)

    def _admit_role(self, admission: Admission) -> None:
        target, body = admission.target, admission.body
        asked = Attributes("escalate", target.kind.plural, GROUP, target.namespace, target.name)
        if self._rights.allows(admission.context, asked):
            return
        gathers = body.get("aggregationRule") or (admission.old or {}).get("aggregationRule")
        if gathers and self._rights.excess(admission.context, _EVERYTHING, ""):
            why = "must have cluster-admin privileges to use the aggregationRule"
            raise failures.forbidden(target.kind, target.name, why)
        self._require(admission, [Rule.of(each) for each in body.get("rules") or ()])

    async def _admit_binding(self, admission: Admission) -> None:
        target, reference = admission.target, admission.body["roleRef"]
        resource = CLUSTER_ROLES if reference["kind"] == "ClusterRole" else ROLES
        namespace = "" if resource == CLUSTER_ROLES else target.namespace
        plural = resource.partition(".")[0]
        asked = Attributes("bind", plural, GROUP, target.namespace, reference["name"])
        if self._rights.allows(admission.context, asked):
            return
        try:
            record = await admission.store.get(ObjectKey(resource, namespace, reference["name"]))
        except NotFound:
            details = {"name": reference["name"], "group": GROUP, "kind": plural}
            raise NotFound(f'{resource} "{reference["name"]}" not found', details=details) from None
        self._require(admission, [Rule.of(each) for each in record.decode().get("rules") or ()])

    def _require(self, admission: Admission, rules: list[Rule]) -> None:
        target = admission.target
        excess = self._rights.excess(admission.context, rules, target.namespace)
        if excess:
            raise failures.forbidden(target.kind, target.name, excess)


def _changed(admission: Admission) -> bool:
    """Tell whether the write may give anybody anything: all but what the end of an object needs.

    Labels count: one of them has a role's rules gathered into ``admin``, ``edit`` or ``view``.
    """
    return admission.old is None or _giving(admission.body) != _giving(admission.old)


def _giving(body: Body) -> Body:
    left_out = _OF_GARBAGE_COLLECTION | _OF_THE_SERVER
    metadata = {name: value for name, value in body["metadata"].items() if name not in left_out}
    return {**body, "metadata": metadata}
