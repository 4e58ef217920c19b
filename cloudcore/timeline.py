"""What ``cloudcore trace`` asks of the API and shows on a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table

from cloudcore.apiserver.kinds import builtin_kinds
from cloudcore.client import Client
from cloudcore.errors import ApiError, NotFound
from protocol.errors import AiokubeedgeError, UsageError
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.projections import SLICE_RESOURCES
from protocol.objects.resources import OBJECT_TRACES
from protocol.objects.times import parse_timestamp

POLL_S: Final = 0.2
GRACE_S: Final = 10
"""A trace outlives the wait by so much: who is interrupted leaves nothing behind for long."""
STEPS: Final = ("dispatched", "sent", "received", "applied", "acknowledged")


class NothingRecorded(AiokubeedgeError):
    """There is no version to show."""


def key_of(reference: str, namespace: str) -> ObjectKey:
    """Return the object that ``KIND/NAME`` names; a kind may be written in any way kubectl takes.

    Raises:
        UsageError: It is not of that form, or of a kind that does not travel to nodes.
    """
    word, separator, name = reference.partition("/")
    if not separator or not word or not name:
        raise UsageError(f"{reference!r}: write KIND/NAME, such as configmap/web")
    for kind in builtin_kinds().kept:
        if word.lower() in {kind.resource, kind.plural, kind.singular, *kind.short_names}:
            if kind.resource not in SLICE_RESOURCES:
                known = ", ".join(sorted(SLICE_RESOURCES))
                raise UsageError(f"{kind.plural} do not travel to nodes; these do: {known}")
            return ObjectKey(kind.resource, namespace if kind.namespaced else "", name)
    raise UsageError(f"there is no kind {word!r}")


async def latest(client: Client, key: ObjectKey, node: str) -> list[Body]:
    """Return the newest recorded version of an object.

    Raises:
        NothingRecorded: There is none.
    """
    traces = await client.list(OBJECT_TRACES)
    versions = [
        version
        for trace in traces
        if trace["spec"]
        == _spec(key) | {name: trace["spec"][name] for name in ("versions", "node") if name in trace["spec"]}
        for version in trace["status"]["versions"]
        if not node or any(each["node"] == node for each in version["nodes"])
    ]
    if not versions:
        raise NothingRecorded(
            f"no version of {key.resource} {key.name} is recorded{f' for {node}' if node else ''}: the cloud keeps a "
            "sample of the latest versions, since its start; leave --last away to follow the next one"
        )
    return [max(versions, key=lambda version: version["committed"] or "")]


async def follow(client: Client, key: ObjectKey, node: str, *, versions: int, wait_s: int) -> list[Body]:
    """Arm a trace and return the versions it has recorded when it is complete, or when ``wait_s`` is over.

    Raises:
        NothingRecorded: No version went to a node in that time.
    """
    spec: Body = _spec(key) | {"versions": versions, "ttlSeconds": wait_s + GRACE_S} | ({"node": node} if node else {})
    name = (await client.create(OBJECT_TRACES, {"metadata": {"generateName": "trace-"}, "spec": spec}))["metadata"][
        "name"
    ]
    trace: Body = {}
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while trace.get("status", {}).get("state") != "Complete":
                    trace = await client.get(OBJECT_TRACES, "", name)
                    await asyncio.sleep(POLL_S)
    finally:
        with suppress(NotFound, ApiError):
            await client.delete(OBJECT_TRACES, "", name)
    recorded: list[Body] = trace.get("status", {}).get("versions") or []
    if not recorded:
        raise NothingRecorded(
            f"no version of {key.resource} {key.name} went to {node or 'a node'} within {wait_s} s: "
            "nobody changed it, or no connected node holds it"
        )
    return recorded


def _spec(key: ObjectKey) -> Body:
    spec = {"resource": key.resource, "name": key.name}
    return spec | {"namespace": key.namespace} if key.namespace else spec


def timeline(key: ObjectKey, versions: Sequence[Body]) -> RenderableType:
    """Return a table per version: a row per node, times counted from the commit."""
    parts: list[RenderableType] = []
    for version in versions:
        parts += [_heading(key, version), _steps(version), *_notes(version), ""]
    return Group(*parts[:-1])


def _heading(key: ObjectKey, version: Body) -> str:
    place = f"{key.namespace}/{key.name}" if key.namespace else key.name
    committed = version["committed"]
    when = f"committed {committed}" if committed else "committed before a node came to need it"
    return f"{key.resource} {place}, version {version['version']}, {version['operation']}, {when}"


def _steps(version: Body) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("NODE", *(step.upper() for step in STEPS), "OUTCOME"):
        table.add_column(heading, no_wrap=heading != "OUTCOME")
    for node in version["nodes"]:
        begin = parse_timestamp(version["committed"] or node["dispatched"])
        times = [_since(step, node, begin) for step in STEPS]
        table.add_row(node["node"], *times, _outcome(node))
    return table


def _since(step: str, node: Body, begin: float) -> str:
    at = node[step]
    if at is None:
        edge_tells = step in {"received", "applied"}
        return "unknown" if edge_tells and node["acknowledged"] is not None else "-"
    mark = "~" if step in {"received", "applied"} else "+"
    return f"{mark}{(parse_timestamp(at) - begin) * 1000:.1f} ms"


def _outcome(node: Body) -> str:
    words = str(node["outcome"])
    if node["sends"] > 1:
        words += f", sent {node['sends']} times"
    if node.get("putOff"):
        words += f", put off {node['putOff']} times"
    return f"{words} ({node['reason']})" if node.get("reason") else words


def _notes(version: Body) -> list[RenderableType]:
    notes: list[RenderableType] = []
    worst = max((node.get("uncertaintySeconds") or 0.0 for node in version["nodes"]), default=0.0)
    if any(node["received"] for node in version["nodes"]):
        notes.append(
            f"~ estimated from the batch's own round trip, off by {worst * 1000:.1f} ms at most; no clock is compared"
        )
    if version.get("moreNodes"):
        notes.append(f"… and {version['moreNodes']} more nodes, which were not followed")
    return notes


def show(rendered: Any) -> None:
    """Print, cutting nothing off where the output is no terminal."""
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(rendered)
