"""Which writes may be lost in a power cut: the heartbeat leases of nodes, and nothing else."""

from __future__ import annotations

from cloudcore.apiserver.kinds.kind import Kind

NODE_LEASE_NAMESPACE = "kube-node-lease"


def is_volatile(kind: Kind, namespace: str) -> bool:
    """Tell whether writes of ``kind`` in ``namespace`` are not flushed one by one."""
    return namespace == NODE_LEASE_NAMESPACE and kind.resource == "leases.coordination.k8s.io"
