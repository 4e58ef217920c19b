"""Nodes that an administrator has cordoned."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cloudcore.scheduler.columns import Mask, Rows
from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape
from protocol.objects.tolerations import tolerates
from protocol.objects.wellknown import UNSCHEDULABLE

_TAINT = (UNSCHEDULABLE, "", "NoSchedule")


class NodeUnschedulable:
    """Turns away nodes with ``spec.unschedulable``, unless the pod tolerates the taint that stands for it."""

    name: ClassVar[str] = "NodeUnschedulable"
    dynamic: ClassVar[bool] = False
    wakes: ClassVar[frozenset[ClusterEvent]] = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_FEATURES})

    def filter(self, shape: PodShape, table: NodeTable, rows: Rows) -> Mask:
        """Return which of ``rows`` are not cordoned."""
        cordoned: Mask = table.unschedulable[rows]
        return ~cordoned | tolerates(shape.tolerations, _TAINT)

    def reasons(self, shape: PodShape, table: NodeTable, rows: NDArray[np.intp]) -> Counter[str]:
        """Return the one reason there is."""
        return Counter({"node(s) were unschedulable": len(rows)})
