from __future__ import annotations

from cloudcore.nodes import links_of_leases, node_rows
from protocol.objects.keys import Body
from protocol.objects.times import micro_timestamp

NOW = 1_790_000_000.0


def lease(name: str, **spec: object) -> Body:
    return {"metadata": {"name": name}, "spec": spec}


def test_a_link_is_up_while_its_lease_is_renewed_in_time() -> None:
    leases = [
        lease("fresh", renewTime=micro_timestamp(NOW - 9.0), leaseDurationSeconds=10),
        lease("stale", renewTime=micro_timestamp(NOW - 11.0), leaseDurationSeconds=10),
        lease("new"),
        lease("odd", renewTime="yesterday", leaseDurationSeconds=10),
    ]
    nodes = [{"metadata": {"name": name}} for name in ("fresh", "stale", "new", "odd", "unknown")]
    rows = {row["name"]: row["connected"] for row in node_rows(nodes, links_of_leases(leases, NOW))}
    assert rows == {"fresh": True, "stale": False, "new": False, "odd": False, "unknown": False}
