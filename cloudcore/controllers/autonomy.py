"""Edge autonomy beside a cluster's own controllers: pods on edge nodes tolerate what their disconnect policy says.

Where pods are created through our own API server, admission sees to that. A Kubernetes API server gives each pod
five minutes instead (its admission ``DefaultTolerationSeconds``), after which the cluster's controllers would delete
what runs at the edge whenever a link is down for longer. Kubernetes lets the time of a toleration be changed and
tolerations be added, which is all that is done here, once a pod is bound to an edge node. A toleration of five
minutes cannot be told from the admission's: who wants exactly that says ``replace`` and ``lost-after: 5m``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cloudcore.controllers.pods import is_deleting, is_terminated
from cloudcore.controllers.runtime import DONE, Context, Result, Watching, own_keys
from cloudcore.errors import NotFound
from cloudcore.informers.indexes import BY_NODE, node_of_pod
from protocol.objects.durations import parse_duration
from protocol.objects.keys import Body, ObjectKey, key_of
from protocol.objects.resources import NODES, PODS
from protocol.objects.wellknown import EDGE_ROLE, LOST_AFTER, NOT_READY, ON_DISCONNECT, UNREACHABLE

ADMISSIONS_S: Final = 300
"""The seconds that Kubernetes' admission gives to pods that do not say."""
_TAINTS: Final = (NOT_READY, UNREACHABLE)


def plan(pod: Body) -> list[Body] | None:
    """Return the tolerations that ``pod`` should have; None where it has them."""
    lost_after_s = _lost_after_s(pod)
    present: list[Body] = (pod.get("spec") or {}).get("tolerations") or []
    wanted = [
        _with_seconds(toleration, lost_after_s) if _is_admissions(toleration) else toleration for toleration in present
    ]
    for taint in _TAINTS:
        if not any(_covers(toleration, taint) for toleration in wanted):
            wanted.append(_with_seconds({"key": taint, "operator": "Exists", "effect": "NoExecute"}, lost_after_s))
    return wanted if wanted != present else None


def is_edge(node: Body) -> bool:
    """Tell whether a Node is one of ours."""
    return EDGE_ROLE in (node["metadata"].get("labels") or {})


def _lost_after_s(pod: Body) -> int | None:
    """Return after how many seconds without its node the pod is lost; None: never."""
    annotations = pod["metadata"].get("annotations") or {}
    if annotations.get(ON_DISCONNECT, "keep") not in {"replace", "reconcile"}:
        return None
    try:
        return parse_duration(annotations.get(LOST_AFTER, str(ADMISSIONS_S)))
    except ValueError:
        return ADMISSIONS_S  # nobody checked it when the pod was made


def _is_admissions(toleration: Body) -> bool:
    return toleration.get("key") in _TAINTS and toleration.get("tolerationSeconds") == ADMISSIONS_S


def _covers(toleration: Body, taint: str) -> bool:
    key, effect = toleration.get("key") or "", toleration.get("effect") or ""
    return key in {"", taint} and effect in {"", "NoExecute"}


def _with_seconds(toleration: Body, seconds: int | None) -> Body:
    kept = {name: value for name, value in toleration.items() if name != "tolerationSeconds"}
    return kept if seconds is None else {**kept, "tolerationSeconds": seconds}


class AutonomyController:
    """Keeps the tolerations of pods on edge nodes; keys are the pods'."""

    name = "edge-autonomy"
    workers = 2

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._nodes = context.informers.for_resource(NODES)
        self._pods = context.informers.for_resource(PODS)
        self._pods.add_index(BY_NODE, node_of_pod)

    def watches(self) -> Sequence[Watching[ObjectKey]]:
        """Follow pods, and nodes for the sake of the pods that came first."""
        return (Watching(PODS, own_keys(PODS)), Watching(NODES, self._pods_of_node))

    async def reconcile(self, key: ObjectKey) -> Result:
        """Give the pod the tolerations that it should have."""
        pod = self._pods.get(key)
        if pod is None or is_deleting(pod) or is_terminated(pod):
            return DONE
        node = self._nodes.get(ObjectKey(NODES, "", (pod.get("spec") or {}).get("nodeName") or ""))
        wanted = plan(pod) if node is not None and is_edge(node) else None
        if wanted is not None:
            metadata = pod["metadata"]
            patch = {
                "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
                "spec": {"tolerations": wanted},
            }
            try:
                await self._client.patch(PODS, key.namespace, key.name, patch)
            except NotFound:
                return DONE
        return DONE

    def _pods_of_node(self, old: Body | None, new: Body | None) -> Iterable[ObjectKey]:
        if new is None or (old is not None and is_edge(old) == is_edge(new)):
            return ()
        return [key_of(PODS, pod) for pod in self._pods.list(index=BY_NODE, value=new["metadata"]["name"])]
