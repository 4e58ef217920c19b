"""Who needs what: pods and devices on nodes, what they name, and the namespaces pods are in. Performs no I/O.

Two indexes are kept in step: from an object to the nodes that need it, and from a node to its pods (a pod's needs
hang on the pod). A device is placed as a pod is; what is said of pods here holds for it, but for the namespaces.
Each change costs in proportion to what it touches; nothing is ever scanned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from protocol.objects.keys import NodeName, ObjectKey

K = TypeVar("K")

NOBODY: frozenset[NodeName] = frozenset()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a pod is bound and what it names.

    Attributes:
        node: The node.
        needs: What it names.
        in_namespace: Whether its node is also given what there is for all pods of its namespace.
    """

    node: NodeName
    needs: frozenset[ObjectKey]
    in_namespace: bool = True


@dataclass(slots=True)
class Moved:
    """What a placement's change means: objects and namespaces a node begins or ceases to need."""

    gained: list[tuple[NodeName, ObjectKey]] = field(default_factory=list)
    lost: list[tuple[NodeName, ObjectKey]] = field(default_factory=list)
    entered: list[tuple[NodeName, str]] = field(default_factory=list)
    left: list[tuple[NodeName, str]] = field(default_factory=list)


class Placements:
    """The pods of all nodes and the two indexes over them."""

    def __init__(self) -> None:
        self._pods: dict[ObjectKey, Placement] = {}
        self._pods_of: dict[NodeName, set[ObjectKey]] = {}
        # How many pods of a node need an object, or are in a namespace; a count of zero is no entry.
        self._holders: dict[ObjectKey, dict[NodeName, int]] = {}
        self._namespaces: dict[str, dict[NodeName, int]] = {}

    def node_of(self, pod: ObjectKey) -> NodeName | None:
        """Return the node that ``pod`` is bound to."""
        placement = self._pods.get(pod)
        return placement.node if placement else None

    def nodes_needing(self, key: ObjectKey) -> Collection[NodeName]:
        """Return the nodes with a pod that names ``key``."""
        return self._holders.get(key, NOBODY)

    def pods_needing(self, key: ObjectKey) -> list[ObjectKey]:
        """Return the bound pods that name ``key``; costs in proportion to the pods of the nodes they are on."""
        return [pod for node in self.nodes_needing(key) for pod in self.pods_of(node) if key in self._pods[pod].needs]

    def nodes_in(self, namespace: str) -> Collection[NodeName]:
        """Return the nodes with a pod in ``namespace``."""
        return self._namespaces.get(namespace, NOBODY)

    def pods_of(self, node: NodeName) -> Collection[ObjectKey]:
        """Return the pods bound to ``node``."""
        return self._pods_of.get(node, frozenset())

    def needs_of(self, node: NodeName) -> Iterator[ObjectKey]:
        """Yield what the pods of ``node`` name, each key once."""
        seen: set[ObjectKey] = set()
        for pod in self.pods_of(node):
            fresh = self._pods[pod].needs - seen
            seen |= fresh
            yield from fresh

    def namespaces_of(self, node: NodeName) -> set[str]:
        """Return the namespaces of the pods of ``node``."""
        return {pod.namespace for pod in self.pods_of(node) if self._pods[pod].in_namespace}

    def place(self, pod: ObjectKey, placement: Placement | None) -> Moved:
        """Put ``pod`` where it is now (None: nowhere) and return what that changed.

        What the old and the new placement share is neither lost nor gained, not even in passing.
        """
        moved = Moved()
        before = self._pods.get(pod)
        if placement == before:
            return moved
        if placement is not None:
            self._pods[pod] = placement
            self._enter(pod, placement, moved)
        if before is not None:
            self._leave(pod, before, still_there=placement is not None and placement.node == before.node, moved=moved)
        if placement is None:
            self._pods.pop(pod, None)
        return moved

    def _enter(self, pod: ObjectKey, placement: Placement, moved: Moved) -> None:
        node = placement.node
        self._pods_of.setdefault(node, set()).add(pod)
        for key in placement.needs:
            if _increment(self._holders.setdefault(key, {}), node):
                moved.gained.append((node, key))
        if placement.in_namespace and _increment(self._namespaces.setdefault(pod.namespace, {}), node):
            moved.entered.append((node, pod.namespace))

    def _leave(self, pod: ObjectKey, before: Placement, *, still_there: bool, moved: Moved) -> None:
        node = before.node
        if not still_there:
            pods = self._pods_of[node]
            pods.discard(pod)
            if not pods:
                del self._pods_of[node]
        for key in before.needs:
            if _decrement(self._holders, key, node):
                moved.lost.append((node, key))
        if before.in_namespace and _decrement(self._namespaces, pod.namespace, node):
            moved.left.append((node, pod.namespace))

    def check_invariants(self) -> None:
        """Raise AssertionError where the indexes disagree with the pods."""
        holders: dict[ObjectKey, dict[NodeName, int]] = {}
        namespaces: dict[str, dict[NodeName, int]] = {}
        pods_of: dict[NodeName, set[ObjectKey]] = {}
        for pod, placement in self._pods.items():
            pods_of.setdefault(placement.node, set()).add(pod)
            if placement.in_namespace:
                _increment(namespaces.setdefault(pod.namespace, {}), placement.node)
            for key in placement.needs:
                _increment(holders.setdefault(key, {}), placement.node)
        assert pods_of == self._pods_of, "pods by node"
        assert holders == self._holders, "nodes by needed object"
        assert namespaces == self._namespaces, "nodes by namespace"


def _increment(counts: dict[NodeName, int], node: NodeName) -> bool:
    """Count ``node`` once more; tell whether it is the first time."""
    counts[node] = count = counts.get(node, 0) + 1
    return count == 1


def _decrement(index: dict[K, dict[NodeName, int]], key: K, node: NodeName) -> bool:
    """Count ``node`` once less; tell whether none is left."""
    counts = index[key]
    counts[node] -= 1
    if counts[node]:
        return False
    del counts[node]
    if not counts:
        del index[key]
    return True
