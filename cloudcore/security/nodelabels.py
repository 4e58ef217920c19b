"""Which labels a node may claim for itself (the rule of Kubernetes' NodeRestriction admission). Performs no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol.errors import AiokubeedgeError
from protocol.objects.keys import NodeName
from protocol.objects.selectors import is_label_key, is_label_value
from protocol.objects.wellknown import ARCH, EDGE_ROLE, HOSTNAME, OS

ALLOWED: Final = frozenset(
    {
        HOSTNAME,
        OS,
        ARCH,
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
"""Labels of reserved domains that a node may set."""
RESERVED: Final = ("kubernetes.io", "k8s.io", "aiokubeedge.io")
"""Domains, subdomains included, whose labels steer the cluster: a node must not give itself a role."""


class LabelRefused(AiokubeedgeError):
    """A label that a node may not set; the message names it."""


def node_labels(node: NodeName, claimed: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of a node that claims ``claimed``, with those that every edge node has.

    Raises:
        LabelRefused: A label is malformed, reserved, or says another host name.
    """
    for key, value in claimed.items():
        _check(key, value)
    if claimed.get(HOSTNAME, node) != node:
        raise LabelRefused(f"label {HOSTNAME} must be the node's name, {node}")
    return {**claimed, HOSTNAME: node, EDGE_ROLE: ""}


def _check(key: str, value: str) -> None:
    if not is_label_key(key):
        raise LabelRefused(f"{key[:80]!r} is not a label's name")
    if not is_label_value(value):
        raise LabelRefused(f"label {key}: {value[:80]!r} is not a label's value")
    domain = key.rpartition("/")[0]
    if key not in ALLOWED and any(domain == taken or domain.endswith(f".{taken}") for taken in RESERVED):
        raise LabelRefused(f"a node may not set label {key}")
