"""Tables of the ``edgecore`` command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from edgecore.local import age


def status_table(shown: dict[str, Any], now: float) -> None:
    """Print the node's status."""
    agent, link = shown["agent"], shown["link"]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("node", shown["node"])
    table.add_row("agent", f"running, pid {agent['pid']}" if agent["running"] else "not running (pods go on)")
    table.add_row("link", _link(link, now))
    if link["reason"]:
        table.add_row("", link["reason"])
    table.add_row("cloud", shown["server"] or "none: this device has not joined one")
    table.add_row("in step", "yes, at least once" if shown["inStepOnce"] else "not yet")
    table.add_row("pods", str(shown["pods"]))
    static = shown["staticPods"]
    if static["pods"] or static["problems"]:
        table.add_row("static pods", str(static["pods"]))
    for name, problem in sorted(static["problems"].items()):
        table.add_row("", f"{name or 'their folder'}: {problem}")
    table.add_row("objects", str(shown["objects"]))
    table.add_row("owed", _owed(shown["owed"]))
    for name, words in _live(shown.get("live") or {}):
        table.add_row(name, words)
    Console().print(table)


def _link(link: dict[str, Any], now: float) -> str:
    phase, since = str(link["phase"]), link["since"]
    if link["address"]:
        phase = f"{phase} to {link['address']}"
    if since is None or phase == "stopped":
        return phase
    if link["retryInSeconds"]:
        # What is recorded is the last attempt: how long ago that was says nothing of how long the link is down.
        return f"{phase}, next try in {age(since + link['retryInSeconds'] - now)}"
    return f"{phase} for {age(now - since)}"


def _live(live: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the running agent tells of its link."""
    if not live:
        return
    yield "digest", f"{live['digest']} (the cloud shows its own with: cloudcore sync NODE)"
    outbox = live["outbox"]
    if outbox["pending"]:
        lanes = ", ".join(f"{lane['lane']} {lane['queued'] + lane['inFlight']}" for lane in outbox["lanes"])
        oldest = outbox["oldestSeconds"]
        yield "outbox", lanes + ("" if oldest is None else f"; the oldest for {age(oldest)}")
    if outbox["held"]:
        yield "held", outbox["held"]
    if live["rttMs"] is not None:
        yield "round trip", f"{live['rttMs']:.1f} ms"
    used = sum(row["bytes"] for row in live["bytesToday"])
    yield "traffic", f"{used:,} bytes today (UTC)"
    if live.get("metrics"):
        yield "metrics", f"http://{live['metrics']}/metrics"
    if meta := live.get("metaserver"):
        yield "metaserver", f"{meta['address']}, {meta['watches']} watches"
        waiting, refused = meta["writesWaiting"], meta["writesRefused"]
        if waiting or refused:
            yield "writes", f"{waiting} wait for the cloud, {refused} were refused (edgecore writes)"


def _owed(reports: int) -> str:
    return f"{reports} report{'s wait' if reports > 1 else ' waits'} for the cloud" if reports else "nothing"


def writes_table(rows: list[dict[str, Any]]) -> None:
    """Print pods' writes as a table."""
    if not rows:
        Console().print("No writes wait for the cloud, and none was refused.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("AT", "POD", "VERB", "OBJECT", "STATE", "REASON"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(row["at"], row["pod"], row["verb"], row["object"], row["state"], row["reason"])
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


def twin_table(shown: dict[str, Any]) -> None:
    """Print a device's twin."""
    console = Console()
    reports = shown["reports"]
    console.print(
        f"{shown['namespace']}/{shown['name']}: {shown['state']}, last online {shown['lastOnlineTime'] or '-'}"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("PROPERTY", "DESIRED", "CLOUD,EDGE", "REPORTED", "AT", ""):
        table.add_column(heading)
    for each in shown["properties"]:
        expected, actual, version = each["expected"], each["actual"], each["expected"]["version"]
        note = each["problem"] or ("differs" if each["delta"] is not None else "")
        versions = f"{version['cloud']},{version['edge']}"
        table.add_row(
            each["name"], expected["value"] or "-", versions, actual["value"] or "-", actual["at"] or "-", note
        )
    console.print(table)
    for each in shown["conflicts"]:
        won = each["won"] or "nothing"
        console.print(f"conflict at {each['at']}: {each['property']} = {each['lost']} lost against the cloud's {won}")
    console.print(f"reports: {reports['waiting']} wait for the cloud, {reports['dropped']} were dropped")


def history_table(rows: list[dict[str, Any]]) -> None:
    """Print what a device has reported."""
    table = Table(box=None, pad_edge=False)
    for heading in ("NUMBER", "AT", "PROPERTY", "VALUE"):
        table.add_column(heading)
    for each in rows:
        table.add_row(str(each["number"]), each["at"], each["property"], each["value"])
    Console().print(table)
