"""What ``cloudcore twin`` asks of the API and shows on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from cloudcore.client import Client
from cloudcore.errors import NotFound
from protocol.objects.devices import DEVICES
from protocol.objects.keys import Body
from protocol.objects.resources import DEVICE_HISTORIES


async def read(client: Client, namespace: str, name: str, *, history: bool) -> Body:
    """Return a Device's twin; with ``history`` the newest reports too.

    Raises:
        NotFound: There is no such Device, and no history of one.
    """
    past: Body = {}
    if history:
        try:
            past = await client.get(DEVICE_HISTORIES, namespace, name)
        except NotFound:
            past = {}  # it has reported nothing
    try:
        device = await client.get(DEVICES, namespace, name)
    except NotFound:
        if not past:
            raise
        device = {}  # it has gone, its history has not
    return twin_of(namespace, name, device) | ({"history": past.get("status") or {}} if history else {})


def twin_of(namespace: str, name: str, device: Body) -> Body:
    """Return what is wanted of a Device and what is known of it, a row per property."""
    spec, status = device.get("spec") or {}, device.get("status") or {}
    extensions = status.get("extensions") or {}
    return {
        "namespace": namespace,
        "name": name,
        "node": spec.get("nodeName", ""),
        "model": (spec.get("deviceModelRef") or {}).get("name", ""),
        "state": status.get("state", ""),
        "lastOnlineTime": status.get("lastOnlineTime", ""),
        "properties": list(_properties(spec, status)),
        "conflicts": extensions.get("conflicts") or [],
    }


def _properties(spec: Body, status: Body) -> Iterator[dict[str, Any]]:
    wanted = {each["name"]: (each.get("desired") or {}).get("value") for each in spec.get("properties") or ()}
    twins = {each["propertyName"]: each for each in status.get("twins") or () if "propertyName" in each}
    for name in {**wanted, **twins}:
        twin = twins.get(name) or {}
        observed, reported = twin.get("observedDesired") or {}, twin.get("reported") or {}
        yield {
            "property": name,
            "desired": wanted.get(name),
            "atTheEdge": observed.get("value"),
            "reported": reported.get("value"),
            "metadata": reported.get("metadata") or {},
        }


def show(twin: Body) -> None:
    """Print a twin."""
    console = Console()
    out = console if console.is_terminal else Console(width=200)
    head = (f"{twin['namespace']}/{twin['name']}", twin["state"] or "never seen", f"node {twin['node'] or '-'}")
    out.print(", ".join((*head, f"last online {twin['lastOnlineTime'] or '-'}")), markup=False, highlight=False)
    out.print(_table(twin["properties"], "property", "desired", "atTheEdge", "reported"))
    if twin["conflicts"]:
        out.print("conflicts, settled for the cloud:")
        out.print(_table(twin["conflicts"], "at", "property", "lost", "won"))
    if "history" in twin:
        past = twin["history"]
        out.print(f"{past.get('held', 0)} reports held, {past.get('dropped', 0)} dropped", highlight=False)
        out.print(_table(past.get("reports") or [], "time", "property", "value"))


_HEADINGS = {"atTheEdge": "AT THE EDGE"}


def _table(rows: list[dict[str, Any]], *fields: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for field in fields:
        table.add_column(_HEADINGS.get(field, field.upper()), overflow="fold")
    for row in rows:
        # Values come from devices: no markup of a terminal in them may count.
        table.add_row(*(_shown(row.get(field)) for field in fields))
    return table


def _shown(value: object) -> str:
    text = "-" if value is None else str(value)
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text).replace("[", r"\[")
