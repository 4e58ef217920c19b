"""What ``kubectl get`` shows of each kind: columns and cells, registered by resource. Sans-IO."""

from __future__ import annotations

# Importing a module of printers registers them.
from cloudcore.apiserver.http.tables import cluster, config, custom, events, links, nodes, pods, services, workloads
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
    "Column",
    "Printer",
    "cluster",
    "column_definitions",
    "config",
    "custom",
    "custom_printer",
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
