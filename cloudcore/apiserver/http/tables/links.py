"""``kubectl get nodelinks``: how each node's link to the cloud is doing."""

from __future__ import annotations

from typing import Any

from cloudcore.apiserver.http.tables.durations import age, human_duration
from cloudcore.apiserver.http.tables.printers import NAME, Cells, Column, printer, wide
from protocol.objects.keys import Body
from protocol.objects.resources import NODE_LINKS


@printer(
    NODE_LINKS,
    NAME,
    Column("Link", description="Whether the node's session is up."),
    Column("RTT", description="Round-trip time of the last keepalive."),
    Column("Lag", description="Age of the oldest change that the node has not acknowledged."),
    Column("Pending", "integer", description="Changes waiting for the node."),
    Column("CPU", description="Share of the node's CPU in use."),
    Column("Memory", description="Share of the node's memory in use."),
    Column("Since", description="Time since the link came up, or went down."),
    wide("Transport"),
    wide("Address"),
)
def nodelink_cells(body: Body, now: float) -> Cells:
    """Return a node link's row."""
    status = body.get("status") or {}
    load = status.get("load") or {}
    rtt = status.get("rttMs")
    lag = status.get("lagSeconds")
    return [
        body["metadata"]["name"],
        "Connected" if status.get("connected") else "Disconnected",
        "-" if rtt is None else f"{rtt:.1f}ms",
        "-" if lag is None else human_duration(lag),
        status.get("pending") or 0,
        _share(load.get("cpu")),
        _share(load.get("memory")),
        age(status.get("since"), now),
        status.get("transport") or "-",
        status.get("address") or "-",
    ]


def _share(value: Any) -> str:
    return f"{value:.0%}" if isinstance(value, int | float) else "-"
