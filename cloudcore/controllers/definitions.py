"""CustomResourceDefinitions over time: what is deleted goes after its objects, what is refused is judged again.

A definition whose names were taken when it was made gets them when they become free. When another version becomes the
one that is kept, objects kept as an older one are written anew, so that old versions can be taken out of a definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from cloudcore.apiserver.custom.definitions import CLEANUP
from cloudcore.apiserver.custom.names import NAMES_ACCEPTED, TERMINATING, is_true, resource_of
from cloudcore.apiserver.kinds import KindTable
from cloudcore.controllers.batches import all_at_once
from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import NotFound
from protocol.objects.conditions import set_condition
from protocol.objects.keys import Body, ObjectKey, Uid, key_of
from protocol.objects.resources import DEFINITIONS
from protocol.objects.times import timestamp

NEXT_ROUND_S = 0.1
"""How long after a round of deletions the next one begins."""
LOOK_AGAIN_S = 5.0
"""How often objects that only a finalizer keeps are looked at."""


class DefinitionController:
    """Reconciles CustomResourceDefinitions; keys are theirs.

    Args:
        context: What controllers work with.
        kinds: The table of kinds.
    """

    name = "customresourcedefinition"
    workers = 2

    def __init__(self, context: Context, kinds: KindTable) -> None:
        self._client = context.client
        self._clock = context.clock
        self._kinds = kinds
        self._definitions = context.informers.for_resource(DEFINITIONS)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow definitions, and those that wait for the names of one that goes."""
        return (Watching(DEFINITIONS, own_keys(DEFINITIONS)), Watching(DEFINITIONS, self._waiting))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring a definition closer to being in force, or to being gone."""
        body = self._definitions.get(key)
        if body is None:
            return DONE
        if is_deleting(body):
            return await self._clean_up(key, body)
        if not is_true(body, NAMES_ACCEPTED):
            # Each write judges the names; this one changes nothing else.
            await self._client.patch(*key, {})
        await self._migrate(key, body)
        return DONE

    async def _clean_up(self, key: ObjectKey, body: Body) -> Result:
        if CLEANUP not in (body["metadata"].get("finalizers") or ()):
            return DONE
        resource = resource_of(body)
        # A built-in kind's objects are not the definition's that wanted its name.
        own = resource in self._kinds and self._kinds.of(resource).defined
        objects = await self._client.list(resource) if own else []
        if not objects:
            await self._let_go(key, body)
            return DONE
        await self._report(key, body)
        doomed = [each for each in objects if not is_deleting(each)]
        failures = await all_at_once([partial(self._delete, key_of(resource, each), each) for each in doomed])
        if failures:
            raise failures[0]
        return RequeueAfter(NEXT_ROUND_S if doomed else LOOK_AGAIN_S)

    async def _delete(self, key: ObjectKey, body: Body) -> None:
        try:
            await self._client.delete(*key, uid=Uid(body["metadata"]["uid"]))
        except NotFound:
            return

    async def _report(self, key: ObjectKey, body: Body) -> None:
        condition = {
            "type": TERMINATING,
            "status": "True",
            "reason": "InstanceDeletionInProgress",
            "message": "CustomResource deletion is in progress",
        }
        status = body.get("status") or {}
        conditions = set_condition(status.get("conditions"), condition, at=timestamp(self._clock.wall()))
        if conditions != status.get("conditions"):
            await self._client.patch(*key, {"status": {"conditions": conditions}}, subresource="status")

    async def _let_go(self, key: ObjectKey, body: Body) -> None:
        metadata = body["metadata"]
        left = [name for name in metadata["finalizers"] if name != CLEANUP]
        head = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        try:
            await self._client.patch(*key, {"metadata": {**head, "finalizers": left or None}})
        except NotFound:
            return

    async def _migrate(self, key: ObjectKey, body: Body) -> None:
        """Write objects that are kept as an older version anew, then forget that version."""
        resource = resource_of(body)
        stored = (body.get("status") or {}).get("storedVersions") or []
        if resource not in self._kinds or len(stored) < 2:
            return
        kept = self._kinds.of(resource)
        if not kept.defined:
            return
        for each in await self._client.list(resource):
            if each["apiVersion"] != kept.api_version:
                try:
                    await self._client.patch(*key_of(resource, each), {"apiVersion": kept.api_version})
                except NotFound:
                    continue
        await self._client.patch(*key, {"status": {"storedVersions": [kept.version]}}, subresource="status")

    def _waiting(self, _old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        if new is None:
            for body in self._definitions.list():
                if not is_true(body, NAMES_ACCEPTED):
                    yield key_of(DEFINITIONS, body)
