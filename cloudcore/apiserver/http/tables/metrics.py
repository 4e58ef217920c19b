"""``kubectl get nodes.metrics.k8s.io`` and ``pods.metrics.k8s.io``: what is used."""

from __future__ import annotations

from decimal import Decimal

from cloudcore.apiserver.http.tables.printers import NAME, Cells, Column, at, printer
from protocol.objects.keys import Body
from protocol.objects.quantities import parse_quantity, written
from protocol.objects.resources import NODE_METRICS, POD_METRICS

_COLUMNS = (NAME, Column("CPU"), Column("Memory"), Column("Window"))


@printer(NODE_METRICS, *_COLUMNS)
def node_metrics_cells(body: Body, now: float) -> Cells:
    """Return a node's row."""
    del now
    usage = body.get("usage") or {}
    return [body["metadata"]["name"], usage.get("cpu", "0"), usage.get("memory", "0"), body.get("window", "")]


@printer(POD_METRICS, *_COLUMNS)
def pod_metrics_cells(body: Body, now: float) -> Cells:
    """Return a pod's row: the sum of its containers."""
    del now
    containers = body.get("containers") or ()
    cpu, memory = (
        sum((parse_quantity(at(each, "usage", name) or 0) for each in containers), Decimal(0))
        for name in ("cpu", "memory")
    )
    return [body["metadata"]["name"], written(cpu), written(memory, binary=True), body.get("window", "")]
