"""``kubectl get`` of namespaces, leases and the cluster-wide classes."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, at, created, printer
from protocol.objects.keys import Body


@printer("namespaces", NAME, Column("Status"), AGE)
def namespace_cells(body: Body, now: float) -> Cells:
    """Return a Namespace's row."""
    return [body["metadata"]["name"], at(body, "status", "phase") or "Active", created(body, now)]


@printer("leases.coordination.k8s.io", NAME, Column("Holder"), AGE)
def lease_cells(body: Body, now: float) -> Cells:
    """Return a Lease's row."""
    return [body["metadata"]["name"], at(body, "spec", "holderIdentity") or "", created(body, now)]


@printer("runtimeclasses.node.k8s.io", NAME, Column("Handler"), AGE)
def runtimeclass_cells(body: Body, now: float) -> Cells:
    """Return a RuntimeClass's row."""
    return [body["metadata"]["name"], body.get("handler", ""), created(body, now)]


@printer(
    "priorityclasses.scheduling.k8s.io",
    NAME,
    Column("Value", "integer"),
    Column("Global-Default", "boolean"),
    AGE,
    Column("PreemptionPolicy"),
)
def priorityclass_cells(body: Body, now: float) -> Cells:
    """Return a PriorityClass's row."""
    return [
        body["metadata"]["name"],
        body.get("value", 0),
        bool(body.get("globalDefault")),
        created(body, now),
        body.get("preemptionPolicy", "PreemptLowerPriority"),
    ]
