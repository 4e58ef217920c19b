"""The nodes that have, or can have, the volumes of a pod's claims."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cloudcore.scheduler.columns import Mask, Rows
from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.plugins.nodeaffinity import matches_any
from cloudcore.scheduler.podshape import PodShape

_BOUND = "node(s) didn't match PersistentVolume's node affinity"
_NONE = "node(s) didn't find available persistent volumes to bind"


class VolumeBinding:
    """Turns away nodes without the volumes of the pod's claims."""

    name: ClassVar[str] = "VolumeBinding"
    dynamic: ClassVar[bool] = False
    wakes: ClassVar[frozenset[ClusterEvent]] = frozenset(
        {ClusterEvent.NODE_ADDED, ClusterEvent.NODE_FEATURES, ClusterEvent.VOLUMES}
    )

    def filter(self, shape: PodShape, table: NodeTable, rows: Rows) -> Mask:
        """Return which of ``rows`` match one term of each claim."""
        mask: Mask = table.valid[rows] | True
        for alternatives in shape.volumes:
            mask = mask & matches_any(alternatives, table, rows)
        return mask

    def reasons(self, shape: PodShape, table: NodeTable, rows: NDArray[np.intp]) -> Counter[str]:
        """Return the one reason: claims are bound elsewhere, or have nothing to be bound to."""
        return Counter({_NONE if shape.unbound else _BOUND: len(rows)})
