"""Which pod takes what on which node: the ledger behind the node table's use. Sans-IO."""

from __future__ import annotations

from cloudcore.scheduler.nodetable import NodeTable
from cloudcore.scheduler.podshape import PodShape
from protocol.objects.keys import Uid


class Accounts:
    """Charges pods to nodes, each once.

    A placement is charged when it is decided (assumed), long before the pod's own object says so; the event that
    confirms it then changes nothing.

    Args:
        table: What is charged.
    """

    def __init__(self, table: NodeTable) -> None:
        self._table = table
        self._charges: dict[Uid, tuple[str, PodShape]] = {}

    def charge(self, uid: Uid, node: str, shape: PodShape) -> None:
        """Charge a pod to ``node``; what it was charged before is given back."""
        charged = self._charges.get(uid)
        if charged is not None:
            if charged[0] == node and charged[1].requests == shape.requests:
                return
            self.release(uid)
        self._charges[uid] = (node, shape)
        self._table.charge(node, shape.requests, (shape.scored_cpu_milli, shape.scored_memory_bytes), 1)

    def release(self, uid: Uid) -> bool:
        """Give back what a pod was charged; return whether there was anything."""
        charged = self._charges.pop(uid, None)
        if charged is None:
            return False
        node, shape = charged
        self._table.charge(node, shape.requests, (shape.scored_cpu_milli, shape.scored_memory_bytes), -1)
        return True

    def node_of(self, uid: Uid) -> str | None:
        """Return the node a pod is charged to."""
        charged = self._charges.get(uid)
        return charged[0] if charged else None
