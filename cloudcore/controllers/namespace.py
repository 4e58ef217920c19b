"""The namespace controller: empties a namespace that is being deleted, then lets it go.

Pods go first, the rest once no pod is left, as in Kubernetes: what pods use outlives them. Content is read live, not
from caches: the namespace must not go while anything is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from cloudcore.apiserver.kinds import KindTable
from cloudcore.controllers.batches import all_at_once
from cloudcore.controllers.pods import is_deleting
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import ApiError, Conflict, NotFound
from protocol.objects.conditions import set_condition
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.resources import NAMESPACES, PODS
from protocol.objects.times import timestamp

FINALIZER = "kubernetes"
NEXT_ROUND_S = 0.1
"""How long after a round of deletions the next one begins."""
LOOK_AGAIN_S = 5.0
"""How often content that only a finalizer keeps is looked at; pods that go are noticed at once."""


def is_namespace_going(error: ApiError) -> bool:
    """Tell whether ``error`` says that nothing may be created because the namespace is being deleted."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for a namespace that is being deleted.

    Attributes:
        delete: What to delete now, by resource.
        finalize: Whether it may go.
    """

    delete: Mapping[str, Sequence[Body]]
    finalize: bool


def plan(content: Mapping[str, Sequence[Body]]) -> Plan:
    """Decide from all that the namespace contains, by resource."""
    present = {resource: bodies for resource, bodies in content.items() if bodies}
    now = {PODS: present[PODS]} if PODS in present else present
    delete = {resource: [body for body in bodies if not is_deleting(body)] for resource, bodies in now.items()}
    return Plan({resource: bodies for resource, bodies in delete.items() if bodies}, finalize=not present)


def conditions(
    before: Sequence[Body] | None, content: Mapping[str, Sequence[Body]], failure: str, at: str
) -> list[Body]:
    """Return the conditions that tell a person what a deletion still waits for."""
    kept = {resource: len(bodies) for resource, bodies in content.items() if bodies}
    blockers: dict[str, int] = {}
    for body in (body for bodies in content.values() for body in bodies):
        for finalizer in body["metadata"].get("finalizers") or ():
            blockers[finalizer] = blockers.get(finalizer, 0) + 1
    remaining = ", ".join(f"{resource} has {count} resource instances" for resource, count in sorted(kept.items()))
    waiting = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(blockers.items()))
    rows = (
        ("NamespaceDeletionContentFailure", failure, "ContentDeletionFailed", "ContentDeleted", failure),
        (
            "NamespaceContentRemaining",
            remaining,
            "SomeResourcesRemain",
            "ContentRemoved",
            f"Some resources are remaining: {remaining}",
        ),
        (
            "NamespaceFinalizersRemaining",
            waiting,
            "SomeFinalizersRemain",
            "ContentHasNoFinalizers",
            f"Some content in the namespace has finalizers remaining: {waiting}",
        ),
    )
    result = list(before or ())
    for kind, present, bad, good, message in rows:
        new = {"type": kind, "status": "True" if present else "False", "reason": bad if present else good}
        result = set_condition(result, {**new, "message": message if present else ""}, at=at)
    return result


class NamespaceController:
    """Reconciles namespaces that are being deleted; keys are theirs."""

    name = "namespace"
    workers = 3

    def __init__(self, context: Context, kinds: KindTable) -> None:
        self._client = context.client
        self._clock = context.clock
        self._kinds = kinds
        self._namespaces = context.informers.for_resource(NAMESPACES)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow namespaces, and pods that leave one that is going."""
        return (Watching(NAMESPACES, own_keys(NAMESPACES)), Watching(PODS, self._keys_of_pod))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Delete what may go now, report what is left, and finalize when nothing is."""
        namespace = self._namespaces.get(key)
        if namespace is None or not is_deleting(namespace):
            return DONE
        if FINALIZER not in (namespace["spec"].get("finalizers") or ()):
            return DONE
        content = await self._content(key.name)
        decided = plan(content)
        if decided.finalize:
            await self._finalize(namespace)
            return DONE
        failure = await self._delete(decided)
        await self._report(namespace, await self._content(key.name), failure)
        if failure is not None:
            raise failure
        return RequeueAfter(NEXT_ROUND_S if decided.delete else LOOK_AGAIN_S)

    async def _content(self, namespace: str) -> dict[str, list[Body]]:
        kept = self._kinds.kept
        deletable = [kind for kind in kept if kind.namespaced and not kind.virtual and "delete" in kind.verbs]
        return {kind.resource: await self._of_kind(kind.resource, namespace) for kind in deletable}

    async def _of_kind(self, resource: str, namespace: str) -> list[Body]:
        try:
            return await self._client.list(resource, namespace)
        except NotFound:
            return []  # a custom kind that went meanwhile, and its objects with it

    async def _delete(self, decided: Plan) -> ApiError | None:
        doomed = [(resource, body["metadata"]) for resource, bodies in decided.delete.items() for body in bodies]
        failures = await all_at_once([partial(self._delete_one, *item) for item in doomed])
        return failures[0] if failures else None

    async def _delete_one(self, resource: str, metadata: Body) -> None:
        try:
            await self._client.delete(resource, metadata["namespace"], metadata["name"], uid=Uid(metadata["uid"]))
        except (NotFound, Conflict):
            return  # it went by itself; whatever has its name now is seen in the next round

    async def _finalize(self, namespace: Body) -> None:
        left = [entry for entry in namespace["spec"].get("finalizers") or () if entry != FINALIZER]
        body = {**namespace, "spec": {**namespace["spec"], "finalizers": left}}
        try:
            await self._client.update(NAMESPACES, body, subresource="finalize")
        except NotFound:
            return

    async def _report(self, namespace: Body, content: Mapping[str, Sequence[Body]], failure: ApiError | None) -> None:
        before = namespace.get("status") or {}
        message = "" if failure is None else failure.message
        listed = conditions(before.get("conditions"), content, message, timestamp(self._clock.wall()))
        new = {**before, "phase": "Terminating", "conditions": listed}
        if new == before:
            return
        try:
            await self._client.patch(
                NAMESPACES, "", namespace["metadata"]["name"], {"status": new}, subresource="status"
            )
        except NotFound:
            return

    def _keys_of_pod(self, _old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        if new is not None or _old is None:
            return ()
        key = ObjectKey(NAMESPACES, "", _old["metadata"]["namespace"])
        namespace = self._namespaces.get(key)
        return (key,) if namespace is not None and is_deleting(namespace) else ()
