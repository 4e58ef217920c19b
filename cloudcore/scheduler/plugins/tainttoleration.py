"""Taints and tolerations. Source: core/v1 ``Taint`` and ``Toleration``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cloudcore.scheduler.columns import Mask, Rows, Scores
from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape
from protocol.objects.tolerations import Taint, tolerates

_TURN_AWAY = ("NoSchedule", "NoExecute")


class TaintToleration:
    """Turns away nodes with a NoSchedule or NoExecute taint that the pod does not tolerate."""

    name: ClassVar[str] = "TaintToleration"
    dynamic: ClassVar[bool] = False
    wakes: ClassVar[frozenset[ClusterEvent]] = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_FEATURES})

    def filter(self, shape: PodShape, table: NodeTable, rows: Rows) -> Mask:
        """Return which of ``rows`` have only tolerated taints."""
        return table.taints.test(lambda taints: _untolerated(shape, taints) is None, rows, absent=True)

    def reasons(self, shape: PodShape, table: NodeTable, rows: NDArray[np.intp]) -> Counter[str]:
        """Name, for each node, the first taint that is not tolerated."""
        found: Counter[str] = Counter()
        for row in rows.tolist():
            taint = _untolerated(shape, table.taints.value(row) or ())
            if taint is not None:
                found[f"node(s) had untolerated taint {{{taint[0]}: {taint[1]}}}"] += 1
        return found


class PreferNoSchedule:
    """Scores nodes by how few PreferNoSchedule taints they have that the pod does not tolerate."""

    name: ClassVar[str] = "PreferNoSchedule"
    dynamic: ClassVar[bool] = False
    normalized: ClassVar[bool] = False

    def score(self, shape: PodShape, table: NodeTable, rows: Rows) -> Scores:
        """Return 100 for nodes without such taints, and less the more there are, down to 0 at the node with most."""
        counts = table.taints.scores(lambda taints: _avoided(shape, taints), table.everywhere, absent=0.0)
        worst = counts.max(initial=0.0)
        scores: Scores = (100.0 - counts * (100.0 / worst) if worst else counts + 100.0)[rows]
        return scores


def _untolerated(shape: PodShape, taints: Sequence[Taint]) -> Taint | None:
    return next((taint for taint in taints if taint[2] in _TURN_AWAY and not tolerates(shape.tolerations, taint)), None)


def _avoided(shape: PodShape, taints: Sequence[Taint]) -> float:
    return float(
        sum(1 for taint in taints if taint[2] == "PreferNoSchedule" and not tolerates(shape.tolerations, taint))
    )
