"""Labels, annotations, taints, users and namespaces whose names carry a meaning, each spelt here alone.

Source: Kubernetes "Well-Known Labels, Annotations and Taints", "Using Node Authorization"; those of
``edge.aiokubeedge.io`` are this project's own.
"""

from __future__ import annotations

from typing import Final

# Labels of nodes.
HOSTNAME: Final = "kubernetes.io/hostname"
OS: Final = "kubernetes.io/os"
ARCH: Final = "kubernetes.io/arch"
EDGE_ROLE: Final = "node-role.kubernetes.io/edge"

# Annotations of nodes.
INSTANCE_ID: Final = "edge.aiokubeedge.io/instance-id"
"""The one agent that may speak for the node; set when it joins."""
CERTIFICATE: Final = "edge.aiokubeedge.io/certificate"
"""SHA-256 of the DER of the node's one good certificate, hex; set when it joins."""
RUNTIMES: Final = "edge.aiokubeedge.io/runtimes"
"""Comma-separated names of the runtimes that the node's agent offers, the default one first."""
REPORTED_CONDITIONS: Final = "edge.aiokubeedge.io/reported-conditions"
"""The conditions that the node reported before it became Unknown, as a JSON list."""

# Annotations of pods and others.
ON_DISCONNECT: Final = "edge.aiokubeedge.io/on-disconnect"
"""What becomes of a pod whose node cannot be reached: ``keep``, ``replace`` or ``reconcile``."""
LOST_AFTER: Final = "edge.aiokubeedge.io/lost-after"
"""How long the node may be away before the pod is replaced: ``90s``, ``5m``."""
SLA: Final = "edge.aiokubeedge.io/sla"
"""Label of pods: the tier, ``high``, ``medium`` or ``low``, by which they are charged and held back."""
ON_FULL: Final = "edge.aiokubeedge.io/on-full"
"""What becomes of a pod that its node has no room for: ``fail`` (the default), ``queue`` or ``preempt``."""
MIRROR: Final = "kubernetes.io/config.mirror"
"""On the mirror of a static pod: that pod's uid on its node."""
CONFIG_SOURCE: Final = "kubernetes.io/config.source"
CONFIG_HASH: Final = "kubernetes.io/config.hash"
CONFIG_SEEN: Final = "kubernetes.io/config.seen"
"""On static pods: where they come from (``file``), the hash that is their uid, and when their node first saw them."""
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

# Taints of nodes.
NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"

# Who nodes are, and where their leases live.
NODE_USER_PREFIX: Final = "system:node:"
NODES_GROUP: Final = "system:nodes"
NODE_LEASE_NAMESPACE: Final = "kube-node-lease"
TRAFFIC: Final = "edge.aiokubeedge.io/traffic"
"""Annotation of a node's Lease: the UTC day and the bytes of that day, ``2026-03-01 1234567``; the cloud's own."""

# The ConfigMap of every namespace that has the authority's certificate.
ROOT_CA: Final = "kube-root-ca.crt"
