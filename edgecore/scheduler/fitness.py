"""Whether a pod belongs on this node at all, whatever room there is: the kubelet's predicates, in its words. Pure.

Source: the kubelet's admission (``lifecycle/predicate.go``); the runtime's is this project's own, for here one node may
offer several. Static pods are bound by their file, not by taints, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgecore.pods.gate import Refusal
from protocol.objects.keys import Body
from protocol.objects.nodeselectors import matches_node
from protocol.objects.tolerations import taints_of, tolerates

_AFFINITY: Final = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Site:
    """What a node is, for pods.

    Attributes:
        name: Its name.
        os: Its operating system, as Kubernetes spells it.
        runtimes: The runtimes it offers.
        node: Its Node object; None before a cloud has sent it: then labels and taints are not judged.
    """

    name: str
    os: str
    runtimes: frozenset[str]
    node: Body | None = None


def misfit(pod: Body, site: Site, handler: str | None, *, static: bool) -> Refusal | None:
    """Return why the node is none for the pod, or None where it is one.

    Args:
        pod: The pod.
        site: The node.
        handler: The runtime that the pod's RuntimeClass means; None where it names none, or it is not known yet.
        static: Whether the pod comes from a file of the node.
    """
    spec = pod["spec"]
    wanted_os = (spec.get("os") or {}).get("name")
    if wanted_os and wanted_os != site.os:
        return Refusal("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    if site.node is not None:
        if not _matches_labels(spec, site, site.node):
            return _failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
        if not static and not _tolerates_all(spec, site.node):
            return _failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    if handler is not None and handler not in site.runtimes:
        return _failed("RuntimeClass", f'node(s) didn\'t offer the runtime "{handler}"')
    return None


def _matches_labels(spec: Body, site: Site, node: Body) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return matches_node(affinity.get(_AFFINITY), site.name, labels)


def _tolerates_all(spec: Body, node: Body) -> bool:
    tolerations = spec.get("tolerations") or ()
    # Of the taints only this one concerns pods that are bound already.
    return all(tolerates(tolerations, taint) for taint in taints_of(node) if taint[2] == "NoExecute")


def _failed(predicate: str, why: str) -> Refusal:
    return Refusal(predicate, f"Pod was rejected: Predicate {predicate} failed: {why}")
