"""Least allocated: prefer nodes with the larger share of cpu and memory left."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cloudcore.scheduler.columns import Rows, Scores
from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape
from protocol.objects.podrequests import CPU, MEMORY


class LeastAllocated:
    """Scores nodes by the mean share of cpu and memory that would be left with the pod there."""

    name: ClassVar[str] = "LeastAllocated"
    dynamic: ClassVar[bool] = True
    normalized: ClassVar[bool] = False

    def score(self, shape: PodShape, table: NodeTable, rows: Rows) -> Scores:
        """Return 0 (nothing left) to 100 (all left)."""
        cpu = _share_left(table, CPU, shape.scored_cpu_milli, rows)
        memory = _share_left(table, MEMORY, shape.scored_memory_bytes, rows)
        return 50.0 * (cpu + memory)


def _share_left(table: NodeTable, resource: str, amount: int, rows: Rows) -> Scores:
    allocatable = table.allocatable(resource, rows)
    left = allocatable - table.scored_use(resource, rows) - amount
    share: Scores = np.maximum(left, 0) / np.maximum(allocatable, 1)
    return share
