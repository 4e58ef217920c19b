"""Pod garbage collection: pods of nodes that are gone, and finished pods beyond a bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from cloudcore.controllers.batches import BURST, all_at_once
from cloudcore.controllers.pods import is_deleting, is_terminated
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import Conflict, NotFound
from cloudcore.informers.indexes import BY_NODE, controller_uid, node_of_pod
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.resources import NODES, PODS

QUARANTINE_S = 40.0
"""How long a node must be missing before its pods go."""
TERMINATED = "terminated"
ALL_TERMINATED = ObjectKey(PODS, "", "")


def plan_orphans(node_exists: bool, pods: Sequence[Body]) -> list[Body]:
    """Return the pods to remove at once: those bound to a node that does not exist."""
    return [] if node_exists else list(pods)


def plan_terminated(pods: Sequence[Body], bound: int) -> list[Body]:
    """Return the finished pods beyond ``bound``, those without an owner first and the oldest first among equals.

    Pods that a controller manages are its own to tidy up; they go only after the others.
    """
    surplus = len(pods) - bound
    ordered = sorted(pods, key=lambda pod: (any(True for _ in controller_uid(pod)), _created(pod), _name(pod)))
    return ordered[: max(0, surplus)]


def terminated(pod: Body) -> Iterable[str]:
    """Index function: finished pods that nobody is deleting."""
    return (TERMINATED,) if is_terminated(pod) and not is_deleting(pod) else ()


class OrphanedPodController:
    """Removes pods bound to nodes whose object is gone; keys are the nodes'.

    Such a node's agent is refused by the hub and keeps its pods running; in the cloud they no longer count.
    """

    name = "podgc-orphaned"
    workers = 1

    def __init__(self, context: Context) -> None:
        self._context = context
        self._nodes = context.informers.for_resource(NODES)
        self._pods = context.informers.for_resource(PODS)
        self._pods.add_index(BY_NODE, node_of_pod)
        self._missing_since: dict[ObjectKey, float] = {}

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow nodes, and pods bound to a node that is not there."""
        return (Watching(NODES, _keys_of_node), Watching(PODS, self._keys_of_pod))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Remove the pods of ``key`` once it has been missing long enough, also in the store itself."""
        pods = self._pods.list(index=BY_NODE, value=key.name)
        if self._nodes.get(key) is not None or not pods:
            self._missing_since.pop(key, None)
            return DONE
        now = self._context.clock.monotonic()
        left_s = self._missing_since.setdefault(key, now) + QUARANTINE_S - now
        if left_s > 0:
            return RequeueAfter(left_s)
        for pod in plan_orphans(await self._exists(key), pods):
            await _remove(self._context, pod)
        return DONE

    async def _exists(self, key: ObjectKey) -> bool:
        try:
            await self._context.client.get(NODES, "", key.name)
        except NotFound:
            return False
        return True

    def _keys_of_pod(self, _old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        keys = [ObjectKey(NODES, "", name) for name in node_of_pod(new)] if new is not None else []
        return [key for key in keys if self._nodes.get(key) is None]


def _keys_of_node(old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
    """Return the key of a node that appears or goes; what else changes about it is of no concern here."""
    return own_keys(NODES)(old, new) if old is None or new is None else ()


class TerminatedPodController:
    """Keeps the number of finished pods under a bound; there is one key.

    Args:
        context: What controllers work with.
        bound: Finished pods that may stay.
    """

    name = "podgc-terminated"
    workers = 1

    def __init__(self, context: Context, bound: int) -> None:
        self._context = context
        self._bound = bound
        self._pods = context.informers.for_resource(PODS)
        self._pods.add_index(TERMINATED, terminated)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow pods as they finish."""
        return (Watching(PODS, self._keys_of_pod),)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Remove what is beyond the bound, at most a burst at a time."""
        del key
        surplus = plan_terminated(self._pods.list(index=TERMINATED, value=TERMINATED), self._bound)
        failures = await all_at_once([partial(_remove, self._context, pod) for pod in surplus[:BURST]])
        if failures:
            raise failures[0]
        return RequeueAfter(0.0) if len(surplus) > BURST else DONE

    def _keys_of_pod(self, _old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        return (ALL_TERMINATED,) if new is not None and any(True for _ in terminated(new)) else ()


async def _remove(context: Context, pod: Body) -> None:
    metadata = pod["metadata"]
    try:
        await context.client.delete(PODS, metadata["namespace"], metadata["name"], uid=Uid(metadata["uid"]), grace_s=0)
    except (NotFound, Conflict):
        return


def _created(pod: Body) -> str:
    text: str = pod["metadata"].get("creationTimestamp") or ""
    return text


def _name(pod: Body) -> tuple[str, str]:
    return pod["metadata"].get("namespace", ""), pod["metadata"]["name"]
