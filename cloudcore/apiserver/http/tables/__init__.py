"""What ``kubectl get`` shows of each kind: columns and cells, registered by resource. Sans-IO."""

from __future__ import annotations

# Importing a module of printers registers them.
from cloudcore.apiserver.http.tables import cluster, config, events, links, nodes, pods, services, workloads
from cloudcore.apiserver.http.tables.printers import (
    Column,
    Printer,
    column_definitions,
    partial_metadata,
    printer_for,
    row,
)

__all__ = [
    "Column",
    "Printer",
    "cluster",
    "column_definitions",
    "config",
    "events",
    "links",
    "nodes",
    "partial_metadata",
    "pods",
    "printer_for",
    "row",
    "services",
    "workloads",
]
