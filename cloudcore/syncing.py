"""What ``cloudcore sync`` shows on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table

from cloudcore.apiserver.http.tables.durations import human_duration
from protocol.objects.keys import Body
from protocol.objects.times import parse_timestamp

FIRST = 20
"""Pending entries shown unless all are asked for."""
_MOST = 3
"""Lanes and kinds named of those that the day's bytes went to."""


def sync_view(sync: Body, now: float, *, limit: int | None = FIRST) -> RenderableType:
    """Return what there is to show of a NodeSync.

    Args:
        sync: The object.
        now: Seconds since the epoch.
        limit: Pending entries to show, longest owed first; None for all that the cloud lists.
    """
    status = sync.get("status") or {}
    parts: list[RenderableType] = [_summary(sync["metadata"]["name"], status, now)]
    if status.get("lanes"):
        parts += ["", _lanes(status["lanes"])]
    pending = status.get("pending") or []
    if pending:
        shown = pending if limit is None else pending[:limit]
        parts += ["", _pending(shown)]
        parts += _rest(int(status.get("pendingTotal") or 0), len(shown), len(pending))
    if status.get("rejected"):
        parts += ["", _rejected(status["rejected"])]
    return Group(*parts)


def _summary(name: str, status: Body, now: float) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("node", name)
    table.add_row("state", _state(status))
    table.add_row("link", _link(status, now))
    table.add_row("digest", _digest(status, now))
    table.add_row("slice", f"{(status.get('slice') or {}).get('objects', 0)} objects")
    if status.get("held"):
        table.add_row("held", status["held"])
    if status.get("traffic"):
        table.add_row("traffic", _traffic(status["traffic"]))
    return table


_STATES = {
    "InSync": "in sync: the node holds its slice",
    "Pending": "changes are under way",
    "Resuming": "resuming: what differs is being found out",
    "Rejected": "the node will not take some objects",
    "Diverged": "DIVERGED: nothing is owed, yet the node holds something else; a reconnect compares and mends",
    "Offline": "offline",
}


def _state(status: Body) -> str:
    state = str(status.get("state"))
    words = _STATES.get(state, state)
    if state == "Pending":
        return f"{words}: {status.get('pendingTotal')} objects, the oldest for {_age(status.get('lagSeconds'))}"
    if state == "Offline":
        return f"{words}: what the node would need is found out when it resumes"
    return words


def _link(status: Body, now: float) -> str:
    since = status.get("since")
    ago = f" for {_age(now - parse_timestamp(since))}, since {since}" if since else ""
    epoch = f", epoch {status['epoch']}" if status.get("epoch") else ""
    if status.get("connected"):
        return f"connected{ago}{epoch}, {status.get('transport')} from {status.get('address')}"
    if not since:
        return "not connected; it has not been since this cloudcore started"
    return f"not connected{ago}{epoch}: {status.get('reason')} (code {status.get('closeCode')})"


def _digest(status: Body, now: float) -> str:
    digest = status.get("digest") or {}
    if digest.get("edge") is None:
        return f"unknown: the node has told none yet; its slice has {digest.get('cloud')}"
    told = f"as the node told {_age(now - parse_timestamp(digest['edgeAsOf']))} ago"
    if digest["equal"]:
        return f"equal ({digest['cloud']}), {told}"
    both = f"the slice has {digest['cloud']}, the node {digest['edge']}"
    if digest["equal"] is None:
        return f"not known until the next heartbeat: all is acknowledged since, but {both}, {told}"
    return f"different: {both}, {told}"


def _traffic(traffic: Body) -> str:
    cap = f" of {traffic['dailyBytes']:,}" if traffic.get("dailyBytes") else ""
    most = [f"{each['lane']} {each['kind']} {each['bytes']:,}" for each in (traffic.get("today") or [])[:_MOST]]
    return f"{traffic['usedBytes']:,}{cap} bytes today (UTC)" + (f"; most: {', '.join(most)}" if most else "")


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "REASON")
    return table


def _lanes(lanes: list[Body]) -> Table:
    table = _table("LANE", "QUEUED", "IN FLIGHT", "OLDEST")
    for lane in lanes:
        table.add_row(lane["lane"], str(lane["queued"]), str(lane["inFlight"]), _age(lane["oldestSeconds"]))
    return table


def _pending(rows: list[Body]) -> Table:
    table = _table("PENDING", "OPERATION", "LANE", "AGE", "WHY")
    for row in rows:
        table.add_row(_object(row), row["operation"], row["lane"], _age(row["ageSeconds"]), why(row))
    return table


def _object(row: Body) -> str:
    name = f"{row['namespace']}/{row['name']}" if row["namespace"] else row["name"]
    return f"{row['resource']} {name}"


def why(row: Body) -> str:
    """Return in words why a pending entry is not settled."""
    sends = int(row.get("sends") or 0)
    words = {
        "InFlight": "sent, not acknowledged" + (f", redelivered {_times(sends - 1)}" if sends > 1 else ""),
        "Later": f"the node wants it later, again in {_age(row.get('retryInSeconds'))}",
        "WindowClosed": "the node takes no more for now (window closed)",
        "Draining": "goes with the next session: this one is ending",
        "Held": "held by the daily cap",
        "Queued": "goes with one of the next batches",
    }.get(row["why"], str(row["why"]))
    if row.get("putOff"):
        words += f", put off {_times(row['putOff'])}"
    return f"{words}, {row['behind']} behind it" if row.get("behind") else words


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _rest(total: int, shown: int, listed: int) -> list[RenderableType]:
    if total <= shown:
        return []
    how = "" if shown >= listed else " (--all shows more)"
    return [f"… and {total - shown} more{how}"]


def _rejected(rows: list[Body]) -> Table:
    table = _table("REJECTED", "CODE", "REASON")
    for row in rows:
        table.add_row(row["object"], row["code"], row["reason"])
    return table


def _age(seconds: Any) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f}s" if 0 <= seconds < 10 else human_duration(seconds)


def show_sync(sync: Body, now: float, *, limit: int | None = FIRST, clear: bool = False) -> None:
    """Print a NodeSync; ``clear`` empties the terminal first."""
    out = Console()
    if not out.is_terminal:
        out = Console(width=200)  # nothing is cut off where nobody looks
    elif clear:
        out.clear()
    out.print(sync_view(sync, now, limit=limit))
