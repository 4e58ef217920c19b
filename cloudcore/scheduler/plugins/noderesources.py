"""Resource fit: a node must have what the pod requests, extended resources and the number of pods included."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cloudcore.scheduler.columns import Mask, Rows
from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape
from protocol.objects.podrequests import PODS


class NodeResourcesFit:
    """Turns away nodes that have too little left of something the pod requests."""

    name: ClassVar[str] = "NodeResourcesFit"
    dynamic: ClassVar[bool] = True
    wakes: ClassVar[frozenset[ClusterEvent]] = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.CAPACITY_FREED})

    def filter(self, shape: PodShape, table: NodeTable, rows: Rows) -> Mask:
        """Return which of ``rows`` have enough left of everything."""
        mask: Mask = table.valid[rows]
        for resource, amount in shape.requests.items():
            mask = mask & (table.free(resource, rows) >= amount)
        return mask

    def reasons(self, shape: PodShape, table: NodeTable, rows: NDArray[np.intp]) -> Counter[str]:
        """Name every resource that is short; a node may be short of several."""
        found: Counter[str] = Counter()
        for resource, amount in shape.requests.items():
            short = int(np.count_nonzero(table.free(resource, rows) < amount))
            if short:
                found["Too many pods" if resource == PODS else f"Insufficient {resource}"] = short
        return found
