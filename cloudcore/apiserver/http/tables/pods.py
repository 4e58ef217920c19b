"""``kubectl get pods``."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.podstatus import summarise
from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, at, created, printer, wide
from protocol.objects.keys import Body


@printer(
    "pods",
    NAME,
    Column("Ready"),
    Column("Status"),
    Column("Restarts"),
    AGE,
    wide("IP"),
    wide("Node"),
    wide("Nominated Node"),
    wide("Readiness Gates"),
)
def pod_cells(pod: Body, now: float) -> Cells:
    """Return a pod's row."""
    summary = summarise(pod)
    return [
        pod["metadata"]["name"],
        f"{summary.ready}/{summary.total}",
        summary.reason,
        summary.restarts_text(now),
        created(pod, now),
        _address(pod),
        at(pod, "spec", "nodeName") or "<none>",
        at(pod, "status", "nominatedNodeName") or "<none>",
        _readiness_gates(pod),
    ]


def _address(pod: Body) -> str:
    addresses = at(pod, "status", "podIPs")
    first = addresses[0].get("ip") if addresses else at(pod, "status", "podIP")
    return first or "<none>"


def _readiness_gates(pod: Body) -> str:
    gates = at(pod, "spec", "readinessGates")
    if not gates:
        return "<none>"
    true = {c.get("type") for c in at(pod, "status", "conditions") or () if c.get("status") == "True"}
    return f"{sum(gate.get('conditionType') in true for gate in gates)}/{len(gates)}"
