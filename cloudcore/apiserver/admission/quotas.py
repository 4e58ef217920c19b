"""Admission: no object goes over its namespace's quotas.

What a write takes is added to the quotas' ``status.used`` before it is stored, by compare-and-swap, so that writes
side by side cannot share what is left. What was taken for a write that failed after all, the quotas' controller
gives back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.admission.chain import Admission, Operation
from cloudcore.apiserver.quotas import Usage, covers, shown, unstated, usage
from cloudcore.errors import Conflict, NotFound
from cloudcore.store.base import Record, encode
from protocol.objects.keys import Body
from protocol.objects.quantities import parse_quantity
from protocol.objects.resources import CLAIMS, PODS, RESOURCE_QUOTAS, SERVICES

_ATTEMPTS: Final = 16
_CHANGING: Final = frozenset({CLAIMS, SERVICES})
"""What an object of these takes may grow after its creation; a pod's by the subresource ``resize``."""
_UNCOUNTED: Final = frozenset({"events", "events.events.k8s.io", "leases.coordination.k8s.io"})


class ResourceQuotas:
    """Kubernetes' plugin of that name. Runs last."""

    validating = True

    def concerns(self, operation: Operation, resource: str, subresource: str) -> bool:
        """Take part in creations, and in changes that may take more than before."""
        if resource in _UNCOUNTED:
            return False
        if operation is Operation.UPDATE:
            return (resource in _CHANGING and not subresource) or (resource == PODS and subresource == "resize")
        return operation is Operation.CREATE and not subresource

    async def admit(self, admission: Admission) -> None:
        """Take what the write needs from every quota that covers it.

        Raises:
            Forbidden: A quota has not that much left, or bounds what a pod does not state.
        """
        target = admission.target
        if not target.namespace:
            return
        wanted = _wanted(admission)
        for _ in range(_ATTEMPTS):
            listing = await admission.store.list(RESOURCE_QUOTAS, namespace=target.namespace)
            if not listing.records:
                return
            taken = [(record, _take(admission, record.decode(), wanted)) for record in listing.records]
            if admission.context.dry_run or await _spend(admission, taken):
                return
        raise failures.conflict(target.kind, target.name)


def _wanted(admission: Admission) -> Usage:
    resource = admission.target.kind.resource
    new = usage(resource, admission.body)
    old = usage(resource, admission.old) if admission.old is not None else {}
    more = {name: amount - old.get(name, Decimal(0)) for name, amount in new.items()}
    return {name: amount for name, amount in more.items() if amount > 0}


def _take(admission: Admission, quota: Body, wanted: Usage) -> Body | None:
    """Return the quota with ``wanted`` taken; None where it is not about that."""
    resource = admission.target.kind.resource
    hard = (quota.get("spec") or {}).get("hard") or {}
    name = quota["metadata"]["name"]
    if quota["metadata"].get("deletionTimestamp") or not covers(quota, resource, admission.body):
        return None
    if resource == PODS and admission.operation is Operation.CREATE and (missing := unstated(hard, admission.body)):
        lacks = "; ".join(f"{each} for: {','.join(containers)}" for each, containers in missing.items())
        raise _refused(admission, f"failed quota: {name}: must specify {lacks}")
    bounded = {each: amount for each, amount in wanted.items() if each in hard}
    if not bounded:
        return None
    status = quota.get("status") or {}
    known, used = status.get("hard") or {}, status.get("used") or {}
    unknown = sorted(each for each in bounded if each not in known or each not in used)
    if unknown:
        raise _refused(admission, f"status unknown for quota: {name}, resources: {','.join(unknown)}")
    total = {each: parse_quantity(used[each]) + amount for each, amount in bounded.items()}
    over = sorted(each for each, amount in total.items() if amount > parse_quantity(known[each]))
    if over:
        asked = ",".join(f"{each}={shown(each, bounded[each])}" for each in over)
        have = ",".join(f"{each}={used[each]}" for each in over)
        most = ",".join(f"{each}={known[each]}" for each in over)
        raise _refused(admission, f"exceeded quota: {name}, requested: {asked}, used: {have}, limited: {most}")
    spent = {**used, **{each: shown(each, amount) for each, amount in total.items()}}
    return {**quota, "status": {**status, "used": spent}}


def _refused(admission: Admission, why: str) -> Exception:
    return failures.forbidden(admission.target.kind, admission.target.name, why)


async def _spend(admission: Admission, taken: list[tuple[Record, Body | None]]) -> bool:
    """Write the quotas; tell whether all took it. What the earlier ones gave, the controller gives back."""
    for record, quota in taken:
        if quota is None:
            continue
        try:
            await admission.store.update(record.key, encode(quota), expected=record.revision, status_only=True)
        except (Conflict, NotFound):
            return False
    return True
