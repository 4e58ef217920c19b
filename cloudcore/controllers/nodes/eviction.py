"""Eviction by taints: pods leave nodes whose ``NoExecute`` taints they do not tolerate, or no longer tolerate.

This is all there is to the disconnect policy in the cloud: ``keep`` is a toleration without end and such a pod is never
touched; ``replace`` is one with ``tolerationSeconds``. They are counted on the monotonic clock from when this process
first saw the taint, so a clock that jumps evicts nobody and a restart of the cloud gives the nodes their time again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from cloudcore.controllers.batches import BURST, all_at_once
from cloudcore.controllers.pods import is_deleting, is_terminated
from cloudcore.controllers.runtime import DONE, Context, RequeueAfter, Result, Watching, own_keys
from cloudcore.errors import Conflict, NotFound
from cloudcore.informers.indexes import BY_NODE, node_of_pod
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.resources import NODES, PODS
from protocol.objects.wellknown import MIRROR


@dataclass(frozen=True, slots=True)
class Plan:
    """Pods to delete now, and in how many seconds the next one's time runs out (None: never)."""

    delete: tuple[Body, ...]
    requeue_s: float | None


def plan(taints_since: Mapping[tuple[str, str], float], pods: Iterable[Body], now: float) -> Plan:
    """Decide about the pods of one node.

    Args:
        taints_since: Key and value of its ``NoExecute`` taints, and since when each was seen.
        pods: Its pods.
        now: Monotonic seconds.
    """
    due = [(pod, _due(pod, taints_since)) for pod in pods if not is_deleting(pod) and not is_terminated(pod)]
    expired = tuple(pod for pod, at in due if at <= now)
    later = [at - now for _, at in due if now < at < float("inf")]
    return Plan(expired, min(later) if later else None)


def tolerates(toleration: Body, key: str, value: str) -> bool:
    """Tell whether ``toleration`` covers a ``NoExecute`` taint."""
    if toleration.get("effect") not in (None, "", "NoExecute"):
        return False
    if toleration.get("key") not in (None, "", key):
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    return exists or (toleration.get("value") or "") == value


def _due(pod: Body, taints_since: Mapping[tuple[str, str], float]) -> float:
    """Return when the pod must go: the earliest end of any taint's toleration."""
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        return float("inf")  # the node runs it from a file of its own; deleting the mirror ends nothing
    tolerations = pod.get("spec", {}).get("tolerations") or []
    return min((_end(tolerations, *taint, since) for taint, since in taints_since.items()), default=float("inf"))


def _end(tolerations: Sequence[Body], key: str, value: str, since: float) -> float:
    """Return when the toleration of one taint ends: the shortest matching one counts, none ends at once."""
    matching = [entry for entry in tolerations if tolerates(entry, key, value)]
    if not matching:
        return since
    limits = [entry["tolerationSeconds"] for entry in matching if entry.get("tolerationSeconds") is not None]
    return since + max(0, min(limits)) if limits else float("inf")


def no_execute(node: Body) -> set[tuple[str, str]]:
    """Return key and value of the node's ``NoExecute`` taints."""
    taints = (node.get("spec") or {}).get("taints") or []
    return {(taint["key"], taint.get("value") or "") for taint in taints if taint["effect"] == "NoExecute"}


def _keys_of_node(old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
    """Return the node's key unless its ``NoExecute`` taints are what they were."""
    if old is not None and new is not None and no_execute(old) == no_execute(new):
        return ()
    return own_keys(NODES)(old, new)


class TaintEvictionController:
    """Reconciles nodes; keys are theirs."""

    name = "taint-eviction"
    workers = 2

    def __init__(self, context: Context) -> None:
        self._context = context
        self._nodes = context.informers.for_resource(NODES)
        self._pods = context.informers.for_resource(PODS)
        self._pods.add_index(BY_NODE, node_of_pod)
        self._since: dict[str, dict[tuple[str, str], float]] = {}
        self._recorder = context.recorder.named("taint-eviction-controller")

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow nodes, and pods on tainted ones."""
        return (Watching(NODES, _keys_of_node), Watching(PODS, self._keys_of_pod))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Delete the pods whose time has come."""
        node = self._nodes.get(key)
        since = self._observe(key.name, set() if node is None else no_execute(node))
        if not since:
            return DONE
        decided = plan(since, self._pods.list(index=BY_NODE, value=key.name), self._context.clock.monotonic())
        failures = await all_at_once([partial(self._evict, pod) for pod in decided.delete[:BURST]])
        if failures:
            raise failures[0]
        if len(decided.delete) > BURST:
            return RequeueAfter(0.0)
        return DONE if decided.requeue_s is None else RequeueAfter(decided.requeue_s)

    def _observe(self, name: str, taints: set[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """Remember since when each taint is there; forget those that are not."""
        before, now = self._since.pop(name, {}), self._context.clock.monotonic()
        since = {taint: before.get(taint, now) for taint in taints}
        if since:
            self._since[name] = since
        return since

    async def _evict(self, pod: Body) -> None:
        metadata = pod["metadata"]
        message = f"Marking for deletion Pod {metadata['namespace']}/{metadata['name']}"
        self._recorder.event(pod, "Normal", "TaintManagerEviction", message)
        try:
            uid = Uid(metadata["uid"])
            await self._context.client.delete(PODS, metadata["namespace"], metadata["name"], uid=uid)
        except (NotFound, Conflict):
            return

    def _keys_of_pod(self, _old: Body | None, pod: Body | None) -> Iterable[ObjectKey]:
        nodes = node_of_pod(pod) if pod is not None else ()
        return [ObjectKey(NODES, "", name) for name in nodes if name in self._since]
