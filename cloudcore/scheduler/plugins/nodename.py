"""The node that a pod names itself."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cloudcore.scheduler.columns import Mask, Rows
from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.nodetable import NAME_FIELD, NodeTable
from cloudcore.scheduler.podshape import PodShape
from protocol.objects.selectors import Requirement


class NodeNameFilter:
    """Turns away every node but the one in ``spec.nodeName``."""

    name: ClassVar[str] = "NodeName"
    dynamic: ClassVar[bool] = False
    wakes: ClassVar[frozenset[ClusterEvent]] = frozenset({ClusterEvent.NODE_ADDED})

    def filter(self, shape: PodShape, table: NodeTable, rows: Rows) -> Mask:
        """Return which of ``rows`` have the name, or all where none is asked for."""
        if not shape.node_name:
            return table.valid[rows] | True
        return table.matches_field(Requirement(NAME_FIELD, "In", (shape.node_name,)), rows)

    def reasons(self, shape: PodShape, table: NodeTable, rows: NDArray[np.intp]) -> Counter[str]:
        """Return the one reason there is."""
        return Counter({"node(s) didn't match the requested node name": len(rows)})
