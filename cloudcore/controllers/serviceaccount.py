"""The service account controller: every active namespace has the account ``default``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudcore.controllers.namespace import is_namespace_going
from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, Result, Watching, own_keys
from cloudcore.errors import AlreadyExists, Forbidden, NotFound
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import NAMESPACES, SERVICE_ACCOUNTS

DEFAULT = "default"


def plan(namespace: Body | None, account: Body | None) -> Body | None:
    """Return the account to create, or None when there is one or the namespace is going."""
    if namespace is None or is_deleting(namespace) or account is not None:
        return None
    metadata = {"name": DEFAULT, "namespace": namespace["metadata"]["name"]}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


class ServiceAccountController:
    """Reconciles namespaces; keys are theirs."""

    name = "serviceaccount"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._namespaces = context.informers.for_resource(NAMESPACES)
        self._accounts = context.informers.for_resource(SERVICE_ACCOUNTS)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow namespaces, and accounts that are deleted."""
        return (Watching(NAMESPACES, own_keys(NAMESPACES)), Watching(SERVICE_ACCOUNTS, self._keys_of_account))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Create the account where it lacks."""
        account = plan(self._namespaces.get(key), self._accounts.get(ObjectKey(SERVICE_ACCOUNTS, key.name, DEFAULT)))
        if account is None:
            return DONE
        try:
            await self._client.create(SERVICE_ACCOUNTS, account)
        except (AlreadyExists, NotFound):
            return DONE
        except Forbidden as error:
            if not is_namespace_going(error):
                raise
        return DONE

    def _keys_of_account(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        if new is not None or old is None or old["metadata"]["name"] != DEFAULT:
            return ()
        return (ObjectKey(NAMESPACES, "", old["metadata"]["namespace"]),)
