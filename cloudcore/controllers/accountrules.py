"""What service accounts may do, compiled for the devices that their pods run on.

A device decides by itself who may read what through its metaserver, with the cloud or without. For that each account
that a pod on a node runs as has an object ``ServiceAccountRules`` of its own name, which goes to that node with it: the
rules of all roles that the account has by itself and by its groups, put together. Rules for paths are left out;
there are none on a device. Nobody else should write these objects: what is in one, a device believes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cloudcore.apiserver.http.authn import User
from cloudcore.apiserver.kinds.edge import EDGE_GROUP
from cloudcore.apiserver.rbac.feed import feed
from cloudcore.apiserver.rbac.roles import RESOURCES, Roles
from cloudcore.apiserver.rbac.rules import Rule, compacted
from cloudcore.controllers.namespace import is_namespace_going
from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, Result, Watching, own_keys
from cloudcore.errors import AlreadyExists, Conflict, Forbidden, NotFound
from cloudcore.security.accounttokens import account_groups, account_username
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import ACCOUNT_RULES, PODS, SERVICE_ACCOUNTS

_USED: Final = "account-on-node"
_AUTHENTICATED: Final = "system:authenticated"


@dataclass(frozen=True, slots=True)
class Write:
    """What is to be done with the object."""

    verb: Literal["create", "update", "delete"]
    body: Body


def plan(account: Body | None, scopes: Mapping[str, Sequence[Rule]], present: Body | None) -> Write | None:
    """Return the write that puts the object right, or None where it is.

    Args:
        account: The service account; None where it is gone, or no pod on a node runs as it.
        scopes: Its rules by namespace; those under the empty one count everywhere.
        present: The object there is.
    """
    if account is None:
        return None if present is None or is_deleting(present) else Write("delete", present)
    body = wanted(account, scopes)
    if present is None:
        return Write("create", body)
    said = {name: present.get(name) for name in ("rules", "namespaces")}
    owners = present["metadata"].get("ownerReferences")
    if said == {name: body[name] for name in said} and owners == body["metadata"]["ownerReferences"]:
        return None
    metadata = {**present["metadata"], "ownerReferences": body["metadata"]["ownerReferences"]}
    return Write("update", {**body, "metadata": metadata})


def wanted(account: Body, scopes: Mapping[str, Sequence[Rule]]) -> Body:
    """Return the object that ``account`` is to have, its rules in an order that changes with nothing else."""
    metadata = account["metadata"]
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": metadata["name"], "uid": metadata["uid"]}
    within = [
        {"namespace": namespace, "rules": rules}
        for namespace in sorted(scopes)
        if namespace and (rules := _bodies(scopes[namespace]))
    ]
    return {
        "apiVersion": f"{EDGE_GROUP}/v1alpha1",
        "kind": "ServiceAccountRules",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "ownerReferences": [owner]},
        "rules": _bodies(scopes.get("", ())),
        "namespaces": within,
    }


def _bodies(rules: Iterable[Rule]) -> list[Body]:
    of_resources = [rule for rule in rules if rule.resources]
    return [rule.body for rule in sorted(compacted(of_resources), key=str)]


class AccountRulesController:
    """Reconciles service accounts; keys are theirs."""

    name = "serviceaccount-rules"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._accounts = context.informers.for_resource(SERVICE_ACCOUNTS)
        self._present = context.informers.for_resource(ACCOUNT_RULES)
        self._pods = context.informers.for_resource(PODS)
        self._pods.add_index(_USED, _account_on_node)
        self._roles = Roles()
        feed(self._roles, context.informers)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow accounts, pods, and all that gives rights."""
        return (
            Watching(SERVICE_ACCOUNTS, own_keys(SERVICE_ACCOUNTS)),
            Watching(PODS, self._keys_of_pod),
            Watching(ACCOUNT_RULES, self._keys_of_rules),
            *(Watching(resource, self._keys_in_use) for resource in RESOURCES),
        )

    async def reconcile(self, key: ObjectKey) -> Result:
        """Write the account's rules, or take them away where no pod on a node runs as it."""
        account = self._accounts.get(key)
        used = bool(self._pods.list(index=_USED, value=f"{key.namespace}/{key.name}"))
        wants = account if used and account is not None and not is_deleting(account) else None
        write = plan(wants, self._scopes(key), self._present.get(key._replace(resource=ACCOUNT_RULES)))
        if write is None:
            return DONE
        try:
            await self._write(write)
        except (AlreadyExists, NotFound, Conflict):
            return DONE  # the watch brings what it is by now
        except Forbidden as error:
            if not is_namespace_going(error):
                raise
        return DONE

    async def _write(self, write: Write) -> None:
        metadata = write.body["metadata"]
        if write.verb == "create":
            await self._client.create(ACCOUNT_RULES, write.body)
        elif write.verb == "update":
            await self._client.update(ACCOUNT_RULES, write.body)
        else:
            await self._client.delete(ACCOUNT_RULES, metadata["namespace"], metadata["name"], uid=metadata["uid"])

    def _scopes(self, account: ObjectKey) -> Mapping[str, Sequence[Rule]]:
        groups = (*account_groups(account.namespace), _AUTHENTICATED)
        return self._roles.scopes_of(User(account_username(account.namespace, account.name), groups))

    def _keys_of_pod(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        before = set(_account_on_node(old)) if old is not None else set()
        after = set(_account_on_node(new)) if new is not None else set()
        return [_key(used) for used in sorted(before ^ after)]

    def _keys_of_rules(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        body = new or old
        if body is None:
            return ()
        return (ObjectKey(SERVICE_ACCOUNTS, body["metadata"]["namespace"], body["metadata"]["name"]),)

    def _keys_in_use(self, _old: Body | None, _new: Body | None) -> Iterable[ObjectKey]:
        return [_key(used) for used in sorted(self._pods.index_values(_USED))]


def _account_on_node(pod: Body) -> Iterable[str]:
    """Yield the account that a pod on a node runs as."""
    spec = pod.get("spec") or {}
    if not spec.get("nodeName"):
        return ()
    return (f"{pod['metadata'].get('namespace', '')}/{spec.get('serviceAccountName') or 'default'}",)


def _key(used: str) -> ObjectKey:
    namespace, _, name = used.partition("/")
    return ObjectKey(SERVICE_ACCOUNTS, namespace, name)
