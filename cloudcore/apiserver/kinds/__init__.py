"""The table of kinds. A new kind is a row in one of the row files, with the hooks it needs."""

from __future__ import annotations

from cloudcore.apiserver.kinds import (
    aggregation,
    apps,
    autoscaling,
    batch,
    certificates,
    core,
    devices,
    edge,
    events,
    limits,
    metrics,
    networking,
    platform,
    rbac,
    storage,
    webhooks,
    workloads,
)
from cloudcore.apiserver.kinds.kind import Kind, Subresource
from cloudcore.apiserver.kinds.table import KindTable

__all__ = ["Kind", "KindTable", "Subresource", "builtin_kinds"]

_GROUPS = (
    core,
    workloads,
    limits,
    storage,
    apps,
    batch,
    autoscaling,
    networking,
    rbac,
    platform,
    events,
    certificates,
    webhooks,
    aggregation,
    metrics,
    devices,
    edge,
)
"""In the order of discovery."""


def builtin_kinds() -> KindTable:
    """Return the table of the kinds that are always there."""
    return KindTable(row for group in _GROUPS for row in group.ROWS)
