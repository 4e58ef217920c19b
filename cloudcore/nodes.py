"""What ``cloudcore nodes`` and ``cloudcore status`` show on a terminal."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.table import Table

from protocol.objects.conditions import find_condition, is_true
from protocol.objects.keys import Body
from protocol.objects.times import parse_timestamp


def node_rows(nodes: list[Body], links: list[Body]) -> list[dict[str, Any]]:
    """Join Nodes and NodeLinks by name into plain rows, sorted by name."""
    by_name = {link["metadata"]["name"]: link.get("status") or {} for link in links}
    return [
        _row(node, by_name.get(node["metadata"]["name"], {}))
        for node in sorted(nodes, key=lambda node: str(node["metadata"]["name"]))
    ]


def links_of_leases(leases: list[Body], now: float) -> list[Body]:
    """Return what NodeLinks can be told from the nodes' leases: whether each was renewed in time.

    This is all there is to ask where the API server is a cluster's own.

    Args:
        leases: Those in ``kube-node-lease``.
        now: Seconds since the epoch.
    """
    return [_link_of_lease(lease, now) for lease in leases]


def _link_of_lease(lease: Body, now: float) -> Body:
    spec = lease.get("spec") or {}
    try:
        silent_s = now - parse_timestamp(spec["renewTime"])
        connected = silent_s < float(spec.get("leaseDurationSeconds") or 0)
    except (KeyError, TypeError, ValueError):
        connected = False
    return {"metadata": lease["metadata"], "status": {"connected": connected}}


def _row(node: Body, link: Body) -> dict[str, Any]:
    load = link.get("load") or {}
    return {
        "name": node["metadata"]["name"],
        "ready": _readiness(node),
        "connected": bool(link.get("connected")),
        "transport": link.get("transport", ""),
        "rttMs": link.get("rttMs"),
        "lagSeconds": link.get("lagSeconds"),
        "pending": link.get("pending"),
        "cpu": load.get("cpu"),
        "memory": load.get("memory"),
        "since": link.get("since", ""),
        "address": link.get("address", ""),
    }


def _readiness(node: Body) -> str:
    conditions = (node.get("status") or {}).get("conditions")
    if is_true(conditions, "Ready"):
        return "Ready"
    return "NotReady" if find_condition(conditions, "Ready") else "Unknown"


def nodes_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("NAME", "STATUS", "LINK", "RTT", "LAG", "PENDING", "CPU", "MEMORY", "SINCE"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            row["ready"],
            row["transport"] or "up" if row["connected"] else "down",
            _figure(row["rttMs"], "{:.1f} ms"),
            _figure(row["lagSeconds"], "{:.1f} s"),
            _figure(row["pending"], "{}"),
            _figure(row["cpu"], "{:.0%}"),
            _figure(row["memory"], "{:.0%}"),
            row["since"] or "-",
        )
    _console().print(table if rows else "No nodes have joined. Create a token: cloudcore token create --node NAME")


def _console() -> Console:
    """Return a console that cuts nothing off where the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def status_table(recorded: dict[str, object]) -> bool:
    """Print what a run recorded; return whether its process is alive."""
    pid = recorded.get("pid")
    alive = isinstance(pid, int) and _alive(pid)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("state", f"running, pid {pid}" if alive else "not running")
    for name, value in recorded.items():
        if name != "pid" and (alive or name != "ready"):
            table.add_row(name, _plain(value))
    _console().print(table)
    return alive


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.removesuffix('_port')} {port}" for name, port in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
