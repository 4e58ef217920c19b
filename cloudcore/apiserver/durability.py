"""Which writes may be lost in a power cut: the heartbeat leases of nodes, and nothing else."""

from __future__ import annotations

from cloudcore.apiserver.kinds.kind import Kind
from protocol.objects.resources import LEASES
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE


def is_volatile(kind: Kind, namespace: str) -> bool:
    """Tell whether writes of ``kind`` in ``namespace`` are not flushed one by one."""
    return namespace == NODE_LEASE_NAMESPACE and kind.resource == LEASES
