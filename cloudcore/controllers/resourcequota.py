"""The quota controller: keeps what of each ResourceQuota is used.

Admission adds what a write takes at once; this counts afresh whenever something comes or goes, and each minute, which
gives back what was taken for writes that failed after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from cloudcore.apiserver.kinds import KindTable
from cloudcore.apiserver.quotas import covers, shown, usage
from cloudcore.controllers.pods import is_terminated
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching
from cloudcore.errors import NotFound
from protocol.objects.keys import Body, ObjectKey, key_of
from protocol.objects.resources import (
    CLAIMS,
    CONFIG_MAPS,
    PODS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
)

RESYNC_S: Final = 60.0
REST_S: Final = 0.2
"""A count reads whole namespaces: a burst of changes is counted in a few of them."""

_FOLLOWED: Final = (PODS, SERVICES, CLAIMS, CONFIG_MAPS, SECRETS, REPLICATION_CONTROLLERS)


def counted(hard: Iterable[str]) -> set[str]:
    """Return the resources whose objects a quota with these bounds counts."""
    return {_resource_of(name) for name in hard}


def _resource_of(name: str) -> str:
    if name.startswith("count/"):
        return name.removeprefix("count/")
    if name.startswith("services."):
        return SERVICES
    if name == "requests.storage" or ".storageclass.storage.k8s.io/" in name:
        return CLAIMS
    return name if name in {*_FOLLOWED, RESOURCE_QUOTAS} else PODS


def plan(quota: Body, objects: Iterable[tuple[str, Body]]) -> Body:
    """Return the status that a quota should have.

    Args:
        quota: The ResourceQuota.
        objects: What is in its namespace, each with its resource.
    """
    hard: dict[str, str] = (quota.get("spec") or {}).get("hard") or {}
    used = dict.fromkeys(hard, Decimal(0))
    for resource, body in objects:
        if covers(quota, resource, body):
            for name, amount in usage(resource, body).items():
                if name in used:
                    used[name] += amount
    return {"hard": hard, "used": {name: shown(name, amount) for name, amount in used.items()}}


class QuotaController:
    """Reconciles ResourceQuotas; keys are theirs.

    Args:
        context: What every controller works with.
        kinds: Tells which resources there are to count.
    """

    name = "resourcequota"
    workers = 1

    def __init__(self, context: Context, kinds: KindTable) -> None:
        self._client = context.client
        self._kinds = kinds
        self._quotas = context.informers.for_resource(RESOURCE_QUOTAS)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow quotas' specs, and what comes and goes."""
        followed = [Watching(resource, self._keys_beside) for resource in _FOLLOWED]
        return (Watching(RESOURCE_QUOTAS, _respecified), *followed)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Count, and write the status."""
        quota = self._quotas.get(key)
        if quota is None:
            return DONE
        objects = [
            (resource, body)
            for resource in sorted(counted((quota.get("spec") or {}).get("hard") or {}))
            if resource in self._kinds
            for body in await self._client.list(resource, key.namespace)
        ]
        status = plan(quota, objects)
        if status != quota.get("status"):
            try:
                await self._client.update(RESOURCE_QUOTAS, {**quota, "status": status}, subresource="status")
            except NotFound:
                return DONE
        return RequeueAfter(RESYNC_S, REST_S)

    def _keys_beside(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        """Return the quotas of the namespace of what came, went or ended."""
        body = new or old
        if body is None or (old is not None and new is not None and is_terminated(old) == is_terminated(new)):
            return
        for quota in self._quotas.list(index="namespace", value=body["metadata"]["namespace"]):
            yield key_of(RESOURCE_QUOTAS, quota)


def _respecified(old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
    """Return a quota whose spec is new; a changed status is admission's, or this controller's own."""
    if new is not None and (old is None or old.get("spec") != new.get("spec")):
        yield key_of(RESOURCE_QUOTAS, new)
