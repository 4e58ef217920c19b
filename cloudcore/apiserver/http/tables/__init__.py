"""What ``kubectl get`` shows of each kind: columns and cells, registered by resource. Sans-IO."""

from __future__ import annotations

# Importing a module of printers registers them.
from cloudcore.apiserver.http.tables import cluster, config, events, links, nodes, pods, services, workloads
from cloudcore.apiserver.http.tables.printers import Column, Printer, printer_for, table

__all__ = [
    "Column",
    "Printer",
    "cluster",
    "config",
    "events",
    "links",
    "nodes",
    "pods",
    "printer_for",
    "services",
    "table",
    "workloads",
]
