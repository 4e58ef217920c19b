"""Why a pod is nowhere: which filter turned away how many nodes, in Kubernetes' words. Sans-IO."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from cloudcore.scheduler.framework import ClusterEvent, Profile
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape

EVERYTHING = frozenset(ClusterEvent)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The outcome of all filters for a pod that fits nowhere.

    Attributes:
        nodes: How many nodes there are.
        reasons: Each reason with the number of nodes it holds for.
        rejected_by: The names of the filters that turned nodes away.
        wakes: The events after which another try makes sense.
        pod_reason: Why no node at all can take it; empty where that is for the nodes to say.
    """

    nodes: int
    reasons: Counter[str] = field(default_factory=Counter)
    rejected_by: frozenset[str] = frozenset()
    wakes: frozenset[ClusterEvent] = EVERYTHING
    pod_reason: str = ""

    @property
    def message(self) -> str:
        """One sentence, as ``kubectl describe`` shows it."""
        if not self.nodes:
            return "no nodes available to schedule pods"
        if self.pod_reason:
            return f"0/{self.nodes} nodes are available: {self.pod_reason}."
        listed = ", ".join(sorted(f"{count} {reason}" for reason, count in self.reasons.items()))
        return f"0/{self.nodes} nodes are available: {listed}."


def explain(shape: PodShape, table: NodeTable, profile: Profile) -> Explanation:
    """Run the filters in order; a node is put down to the first one that turns it away."""
    rows = table.everywhere
    left = table.valid[rows].copy()
    reasons: Counter[str] = Counter()
    rejected_by: set[str] = set()
    wakes: set[ClusterEvent] = {ClusterEvent.NODE_ADDED}
    for plugin in profile.filters:
        passed = plugin.filter(shape, table, rows)
        turned_away = np.flatnonzero(left & ~passed)
        if turned_away.size:
            reasons += plugin.reasons(shape, table, turned_away)
            rejected_by.add(plugin.name)
            wakes |= plugin.wakes
        left &= passed
    return Explanation(table.count(), reasons, frozenset(rejected_by), frozenset(wakes))
