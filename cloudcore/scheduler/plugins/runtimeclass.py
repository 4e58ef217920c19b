"""Runtimes: a pod with a RuntimeClass goes to nodes whose agent offers that runtime.

A RuntimeClass's own nodeSelector, tolerations and overhead are put into the pod when it is created (admission).
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cloudcore.scheduler.columns import Mask, Rows
from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape


class RuntimeClassFilter:
    """Turns away nodes that list their runtimes without the pod's. A node that lists none may have any."""

    name: ClassVar[str] = "RuntimeClass"
    dynamic: ClassVar[bool] = False
    wakes: ClassVar[frozenset[ClusterEvent]] = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_FEATURES})

    def filter(self, shape: PodShape, table: NodeTable, rows: Rows) -> Mask:
        """Return which of ``rows`` offer the runtime."""
        wanted = shape.runtime
        return table.runtimes.test(lambda offered: not wanted or wanted in offered, rows, absent=True)

    def reasons(self, shape: PodShape, table: NodeTable, rows: NDArray[np.intp]) -> Counter[str]:
        """Name the runtime that is missing."""
        return Counter({f'node(s) didn\'t offer the runtime "{shape.runtime}"': len(rows)})
