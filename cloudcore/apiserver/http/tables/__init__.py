"""What ``kubectl get`` shows of each kind: columns and cells, registered by resource. Sans-IO."""

from __future__ import annotations

# Importing a module of printers registers them.
from cloudcore.apiserver.http.tables import (
    access,
    autoscaling,
    cluster,
    config,
    controllers,
    custom,
    devices,
    events,
    limits,
    links,
    metrics,
    networking,
    nodes,
    pods,
    policies,
    services,
    storage,
    syncs,
    traces,
    workloads,
)
from cloudcore.apiserver.http.tables.autoscaling import SCALES
from cloudcore.apiserver.http.tables.custom import custom_printer
from cloudcore.apiserver.http.tables.printers import (
    Column,
    Printer,
    column_definitions,
    partial_metadata,
    printer_for,
    row,
)

__all__ = [
    "SCALES",
    "Column",
    "Printer",
    "access",
    "autoscaling",
    "cluster",
    "column_definitions",
    "config",
    "controllers",
    "custom",
    "custom_printer",
    "devices",
    "events",
    "limits",
    "links",
    "metrics",
    "networking",
    "nodes",
    "partial_metadata",
    "pods",
    "policies",
    "printer_for",
    "row",
    "services",
    "storage",
    "syncs",
    "traces",
    "workloads",
]
