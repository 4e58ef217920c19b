"""``kubectl get objecttraces``: versions that are followed to their nodes."""

from __future__ import annotations

from typing import Any

from cloudcore.apiserver.http.tables.durations import age, seconds_since
from cloudcore.apiserver.http.tables.printers import AGE, NAME, Cells, Column, printer, wide
from protocol.objects.keys import Body
from protocol.objects.resources import OBJECT_TRACES


@printer(
    OBJECT_TRACES,
    NAME,
    Column("Object", description="What is followed."),
    Column("State", description="Waiting, Recording or Complete."),
    Column("Version", description="The newest version that was recorded."),
    Column("Nodes", description="How many nodes have settled it, of those it goes to."),
    Column("Slowest", description="Time from its commit to the last acknowledgement."),
    wide("Node"),
    AGE,
)
def objecttrace_cells(body: Body, now: float) -> Cells:
    """Return a trace's row."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    newest = (status.get("versions") or [{}])[-1]
    nodes = newest.get("nodes") or []
    place = f"{spec['namespace']}/" if spec.get("namespace") else ""
    return [
        body["metadata"]["name"],
        f"{spec.get('resource', '')} {place}{spec.get('name', '')}",
        status.get("state") or "<unknown>",
        newest.get("version") or "-",
        f"{sum(node['outcome'] != 'pending' for node in nodes)}/{len(nodes) + newest.get('moreNodes', 0)}",
        _slowest(newest, nodes),
        spec.get("node") or "<all>",
        age(body["metadata"].get("creationTimestamp"), now),
    ]


def _slowest(version: dict[str, Any], nodes: list[dict[str, Any]]) -> str:
    committed = seconds_since(version.get("committed"), 0)
    acked = [seconds_since(node.get("acknowledged"), 0) for node in nodes]
    ages = [each for each in acked if each is not None]
    return "-" if committed is None or not ages else f"{(committed - min(ages)) * 1000:.1f}ms"
