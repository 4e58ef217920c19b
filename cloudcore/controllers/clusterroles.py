"""Cluster roles that gather the rules of others (``aggregationRule``): ``admin``, ``edit``, ``view``, and one's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudcore.apiserver.rbac.roles import CLUSTER_ROLES
from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, Result, Watching
from cloudcore.errors import NotFound
from protocol.objects.keys import Body, ObjectKey, key_of
from protocol.objects.selectors import label_selector, matches

_AGGREGATING = "aggregating"


def plan(role: Body, others: Iterable[Body]) -> list[Body] | None:
    """Return the rules that an aggregating role is to have, or None where it has them.

    Args:
        role: The role.
        others: All cluster roles.
    """
    selectors = [label_selector(each) for each in role["aggregationRule"].get("clusterRoleSelectors") or ()]
    chosen = [
        other
        for other in others
        if other["metadata"]["name"] != role["metadata"]["name"]
        and any(matches(selector, other["metadata"].get("labels") or {}) for selector in selectors)
    ]
    rules: list[Body] = []
    for other in sorted(chosen, key=lambda each: str(each["metadata"]["name"])):
        rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return None if rules == (role.get("rules") or []) else rules


class ClusterRoleAggregationController:
    """Reconciles cluster roles that have an ``aggregationRule``; keys are theirs."""

    name = "clusterrole-aggregation"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._roles = context.informers.for_resource(CLUSTER_ROLES)
        self._roles.add_index(_AGGREGATING, _aggregating)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow all cluster roles: each may be gathered by any that gathers."""
        return (Watching(CLUSTER_ROLES, self._keys),)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Give the role the rules it gathers."""
        role = self._roles.get(key)
        if role is None or is_deleting(role) or not role.get("aggregationRule"):
            return DONE
        rules = plan(role, self._roles.list())
        if rules is not None:
            try:
                await self._client.patch(*key, {"rules": rules})
            except NotFound:
                return DONE
        return DONE

    def _keys(self, _old: Body | None, _new: Body | None) -> Iterable[ObjectKey]:
        return [key_of(CLUSTER_ROLES, role) for role in self._roles.list(index=_AGGREGATING, value="yes")]


def _aggregating(role: Body) -> Iterable[str]:
    return ("yes",) if role.get("aggregationRule") else ()
