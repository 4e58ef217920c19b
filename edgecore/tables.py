"""Tables of the ``edgecore`` command."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from edgecore.local import age


def status_table(shown: dict[str, Any], now: float) -> None:
    """Print the node's status."""
    agent, link = shown["agent"], shown["link"]
    since = f" for {age(now - link['since'])}" if agent["running"] and link["since"] else ""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("node", shown["node"])
    table.add_row("agent", f"running, pid {agent['pid']}" if agent["running"] else "not running (pods go on)")
    table.add_row("link", f"{link['phase']}{since}{' to ' + link['address'] if link['address'] else ''}")
    if link["reason"]:
        table.add_row("", link["reason"])
    table.add_row("cloud", shown["server"])
    table.add_row("in step", "yes, at least once" if shown["inStepOnce"] else "not yet")
    table.add_row("pods", str(shown["pods"]))
    table.add_row("objects", str(shown["objects"]))
    table.add_row("owed", f"{shown['owed']} reports wait for the cloud" if shown["owed"] else "nothing")
    Console().print(table)


def pods_table(rows: list[dict[str, Any]]) -> None:
    """Print the pods as a table."""
    if not rows:
        Console().print("No pods are bound to this node.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "REPORTED"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(
            row["namespace"],
            row["name"],
            row["ready"],
            row["status"],
            str(row["restarts"]),
            age(row["ageSeconds"]),
            "yes" if row["reported"] else "no",
        )
    Console().print(table)
