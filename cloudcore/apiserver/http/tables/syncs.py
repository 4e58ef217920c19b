"""``kubectl get nodesyncs``: whether each node holds its slice."""

from __future__ import annotations

from cloudcore.apiserver.http.tables.durations import age, human_duration
from cloudcore.apiserver.http.tables.printers import NAME, Cells, Column, printer, wide
from protocol.objects.keys import Body
from protocol.objects.resources import NODE_SYNCS


@printer(
    NODE_SYNCS,
    NAME,
    Column("State", description="InSync, Pending, Resuming, Rejected, Diverged or Offline."),
    Column("Digest", description="Whether the digest that the node told last is that of its slice now."),
    Column("Objects", "integer", description="Objects in the node's slice."),
    Column("Pending", "integer", description="Objects for which something is owed to the node."),
    Column("Oldest", description="For how long the oldest of them has been owed."),
    Column("Rejected", "integer", description="Objects that the node will not take."),
    Column("Since", description="Time since the session opened, or ended."),
    wide("Epoch"),
    wide("Told"),
)
def nodesync_cells(body: Body, now: float) -> Cells:
    """Return a node's row."""
    status = body.get("status") or {}
    digest = status.get("digest") or {}
    lag, pending = status.get("lagSeconds"), status.get("pendingTotal")
    return [
        body["metadata"]["name"],
        status.get("state") or "<unknown>",
        {True: "Equal", False: "Differs"}.get(digest.get("equal", ""), "<unknown>"),
        (status.get("slice") or {}).get("objects", 0),
        "<unknown>" if pending is None else pending,
        human_duration(lag) if lag else "-",
        len(status.get("rejected") or ()),
        age(status.get("since"), now),
        status.get("epoch", "-"),
        age(digest.get("edgeAsOf"), now),
    ]
