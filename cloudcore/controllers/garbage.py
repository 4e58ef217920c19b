"""Garbage collection by owner references.

An object whose owners are all gone is deleted. An owner deleted in the foreground waits for the dependents that block
it; one deleted with ``Orphan`` first loses its dependents. Owners are told by uid; that one is absent is believed only
after a live read, never from a cache. An owner of a kind this API does not have is taken to exist.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cloudcore.apiserver.kinds import KindTable
from cloudcore.client import Propagation
from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, Result, Watching
from cloudcore.errors import NotFound
from cloudcore.informers.indexes import BY_OWNER, owner_uids
from protocol.objects.keys import Body, ObjectKey, Revision, Uid, key_of
from protocol.objects.resources import EVENTS

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
IGNORED = frozenset({EVENTS})
"""Kinds that neither own nor are owned, and are too many to follow."""


class OwnerState(enum.Enum):
    """How an owner is, seen from a dependent."""

    SOLID = "solid"
    """It exists and stays."""
    WAITING = "waiting"
    """It is being deleted in the foreground and waits for its dependents."""
    ABSENT = "absent"
    """It does not exist."""


@dataclass(frozen=True, slots=True)
class Owned:
    """What was found out about an object that has owners.

    Attributes:
        body: The object.
        owners: The state of each owner, in the order of its references.
        has_dependents: Whether it owns anything itself; asked only where an owner waits.
    """

    body: Body
    owners: Sequence[OwnerState]
    has_dependents: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object."""

    propagation: Propagation


@dataclass(frozen=True, slots=True)
class KeepOwners:
    """Drop all owner references but these."""

    references: list[Body]


def plan(owned: Owned) -> Delete | KeepOwners | None:
    """Decide what becomes of an object that is not being deleted itself."""
    if not owned.owners or is_deleting(owned.body):
        return None
    references = owned.body["metadata"]["ownerReferences"]
    solid = [entry for entry, state in zip(references, owned.owners, strict=True) if state is OwnerState.SOLID]
    if solid:
        return KeepOwners(solid) if len(solid) < len(references) else None
    if OwnerState.WAITING in owned.owners and owned.has_dependents:
        return Delete("Foreground")
    return Delete(_own_policy(owned.body))


def blocking(owner: Body, dependents: Iterable[Body]) -> list[Body]:
    """Return the dependents that ``owner``, deleted in the foreground, has to wait for."""
    uid = owner["metadata"]["uid"]
    return [
        body
        for body in dependents
        if any(entry["uid"] == uid and entry.get("blockOwnerDeletion") for entry in _references(body))
    ]


def _own_policy(body: Body) -> Propagation:
    """Return the propagation that the object's finalizers ask for already."""
    finalizers = body["metadata"].get("finalizers") or ()
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"


class GarbageCollector:
    """Reconciles objects of every kind; keys are theirs.

    Args:
        context: What controllers work with.
        kinds: The table of kinds; custom ones come and go.

    Attributes:
        follow: Called with each resource that comes later; whoever drives the collector follows it.
    """

    name = "garbage-collector"
    workers = 10

    def __init__(self, context: Context, kinds: KindTable) -> None:
        self._client = context.client
        self._informers = context.informers
        self._kinds = kinds
        self._resources: list[str] = []
        self.follow: Callable[[Watching[ObjectKey]], None] = lambda _watching: None
        for kind in kinds.kept:
            self._adopt(kind.resource)
        kinds.follow(self._adopt)

    def _adopt(self, resource: str) -> None:
        """Follow a resource that is there now; one that goes stays followed, for it may come back."""
        if resource in self._resources or resource not in self._kinds or resource in IGNORED:
            return
        kind = self._kinds.of(resource)
        if not kind.virtual and "delete" in kind.verbs:
            self._informers.for_resource(resource).add_index(BY_OWNER, owner_uids)
            self._resources.append(resource)
            self.follow(Watching(resource, self._follower(resource)))

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow every kind that may own or be owned."""
        return [Watching(resource, self._follower(resource)) for resource in self._resources]

    async def reconcile(self, key: ObjectKey) -> Result:
        """Finish a deletion that waits for dependents, or see whether the object's owners are still there."""
        body = self._informers.for_resource(key.resource).get(key)
        if body is None:
            return DONE
        finalizers = body["metadata"].get("finalizers") or ()
        if not is_deleting(body):
            await self._collect(key, body)
        elif ORPHAN in finalizers:
            await self._orphan(key, body)
        elif FOREGROUND in finalizers:
            await self._wait_for_dependents(key, body)
        return DONE

    async def _collect(self, key: ObjectKey, body: Body) -> None:
        states = [await self._state(key.namespace, reference) for reference in _references(body)]
        # Only an owner that waits makes it matter, and to find out takes a look into every resource's index.
        has_dependents = OwnerState.WAITING in states and any(True for _ in self._dependents(body))
        match plan(Owned(body, states, has_dependents)):
            case Delete(propagation=propagation):
                await self._delete(key, body, propagation)
            case KeepOwners(references=references):
                await self._patch(key, body, {"ownerReferences": references})

    async def _state(self, namespace: str, reference: Body) -> OwnerState:
        row = self._kinds.for_kind(reference["apiVersion"], reference["kind"])
        if row is None or row.virtual or (row.namespaced and not namespace):
            return OwnerState.SOLID
        key = ObjectKey(row.resource, namespace if row.namespaced else "", reference["name"])
        informer = self._informers.existing(row.resource)
        owner = None if informer is None else informer.get(key)
        if owner is None or owner["metadata"]["uid"] != reference["uid"]:
            try:
                owner = await self._client.get(*key)
            except NotFound:
                return OwnerState.ABSENT
        if owner["metadata"]["uid"] != reference["uid"]:
            return OwnerState.ABSENT
        waiting = is_deleting(owner) and FOREGROUND in (owner["metadata"].get("finalizers") or ())
        return OwnerState.WAITING if waiting else OwnerState.SOLID

    async def _orphan(self, key: ObjectKey, body: Body) -> None:
        """Let every dependent go, then the owner. Read live: one that is missed would be collected."""
        uid = body["metadata"]["uid"]
        for resource in self._resources:
            if resource not in self._kinds:
                continue  # a custom kind that is gone, and its objects with it
            for dependent in await self._client.list(resource, key.namespace or None):
                kept = [entry for entry in _references(dependent) if entry["uid"] != uid]
                if len(kept) < len(_references(dependent)):
                    await self._patch(key_of(resource, dependent), dependent, {"ownerReferences": kept or None})
        await self._drop_finalizer(key, body, ORPHAN)

    async def _wait_for_dependents(self, key: ObjectKey, body: Body) -> None:
        """Let the owner go once nothing blocks it; its dependents' own keys, queued here by watch, delete them."""
        if not blocking(body, (dependent for _, dependent in self._dependents(body))):
            await self._drop_finalizer(key, body, FOREGROUND)

    async def _delete(self, key: ObjectKey, body: Body, propagation: Propagation) -> None:
        metadata = body["metadata"]
        uid, seen = Uid(metadata["uid"]), Revision(int(metadata["resourceVersion"]))
        try:
            await self._client.delete(*key, uid=uid, revision=seen, propagation=propagation)
        except NotFound:
            return

    async def _patch(self, key: ObjectKey, body: Body, metadata: Body) -> None:
        """Change metadata, provided the object has not changed since it was seen."""
        head = {"uid": body["metadata"]["uid"], "resourceVersion": body["metadata"]["resourceVersion"]}
        try:
            await self._client.patch(*key, {"metadata": {**head, **metadata}})
        except NotFound:
            return

    async def _drop_finalizer(self, key: ObjectKey, body: Body, name: str) -> None:
        left = [entry for entry in body["metadata"].get("finalizers") or () if entry != name]
        await self._patch(key, body, {"finalizers": left or None})

    def _follower(self, resource: str) -> Callable[[Body | None, Body | None], Iterator[ObjectKey]]:
        def keys(old: Body | None, new: Body | None) -> Iterator[ObjectKey]:
            if old is not None and new is not None and _concern(old) == _concern(new):
                return  # most changes, heartbeats and statuses, are none of the collector's business
            body = new or old
            if body is None:
                return
            if new is not None and (_references(new) or is_deleting(new)):
                yield key_of(resource, new)
            if new is None or is_deleting(new):
                yield from (key for key, _ in self._dependents(body))
            if old is not None:
                yield from self._owners(old)

        return keys

    def _dependents(self, owner: Body) -> Iterator[tuple[ObjectKey, Body]]:
        uid = owner["metadata"]["uid"]
        for resource in self._resources:
            for body in self._informers.for_resource(resource).list(index=BY_OWNER, value=uid):
                yield key_of(resource, body), body

    def _owners(self, body: Body) -> Iterator[ObjectKey]:
        namespace = body["metadata"].get("namespace", "")
        for reference in _references(body):
            row = self._kinds.for_kind(reference["apiVersion"], reference["kind"])
            if row is not None:
                yield ObjectKey(row.resource, namespace if row.namespaced else "", reference["name"])


def _references(body: Body) -> list[Body]:
    references: list[Body] = body["metadata"].get("ownerReferences") or []
    return references


def _concern(body: Body) -> tuple[object, ...]:
    metadata = body["metadata"]
    fields = ("uid", "ownerReferences", "finalizers", "deletionTimestamp")
    return tuple(metadata.get(field) for field in fields)
