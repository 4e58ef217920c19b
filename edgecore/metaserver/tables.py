"""What ``kubectl get`` shows of each kind. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from edgecore.metaserver.kinds import Kind
from protocol.objects.keys import Body
from protocol.objects.times import parse_timestamp

Cells = list[Any]
_Row = tuple[tuple[str, ...], Callable[[Body], Cells]]


def table(
    kind: Kind, objects: Sequence[Body], revision: str, now: float, *, include: str, headers: bool = True
) -> Body:
    """Return a ``Table``.

    Args:
        kind: The objects' kind.
        objects: What to show, a row each.
        revision: The list's ``resourceVersion``.
        now: Seconds since the epoch, for ages.
        include: What rows carry of their objects: ``Object``, ``None``, else their metadata.
        headers: Whether columns are named; a watch does so once.
    """
    names, _ = _COLUMNS.get(kind.resource, _PLAIN)
    columns = [_column(name) for name in ("Name", *names, "Age")]
    rows = [{"cells": _cells(kind, body, now), **_object(body, include)} for body in objects]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": revision},
        "columnDefinitions": columns if headers else [],
        "rows": rows,
    }


def partial(body: Body) -> Body:
    """Return an object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": body["metadata"]}


def _column(name: str) -> Body:
    form = "name" if name == "Name" else ""
    return {"name": name, "type": "string", "format": form, "description": name, "priority": 0}


def _object(body: Body, include: str) -> Body:
    if include == "None":
        return {}
    return {"object": body if include == "Object" else partial(body)}


def _cells(kind: Kind, body: Body, now: float) -> Cells:
    _, cells = _COLUMNS.get(kind.resource, _PLAIN)
    return [body["metadata"]["name"], *cells(body), age(body["metadata"].get("creationTimestamp"), now)]


def age(created: object, now: float) -> str:
    """Return how old something is, as kubectl writes it."""
    try:
        seconds = max(0, int(now - parse_timestamp(str(created)))) if created else None
    except ValueError:
        seconds = None
    if seconds is None:
        return "<unknown>"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _part(body: Body, name: str) -> Body:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def _pod(body: Body) -> Cells:
    spec, status = _part(body, "spec"), _part(body, "status")
    containers = status.get("containerStatuses") or []
    ready = sum(bool(each.get("ready")) for each in containers)
    restarts = sum(int(each.get("restartCount") or 0) for each in containers)
    total = len(spec.get("containers") or ())
    return [f"{ready}/{total}", _pod_word(body, status, containers), str(restarts), status.get("podIP") or "<none>"]


def _pod_word(body: Body, status: Body, containers: list[Body]) -> str:
    if body["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for container in containers:
        state = container.get("state") or {}
        for kind in ("waiting", "terminated"):
            if reason := (state.get(kind) or {}).get("reason"):
                return str(reason)
    return str(status.get("reason") or status.get("phase") or "Pending")


def _node(body: Body) -> Cells:
    conditions = {each.get("type"): each.get("status") for each in _part(body, "status").get("conditions") or ()}
    words = ["Ready" if conditions.get("Ready") == "True" else "NotReady"]
    if _part(body, "spec").get("unschedulable"):
        words.append("SchedulingDisabled")
    return [",".join(words), _part(_part(body, "status"), "nodeInfo").get("kubeletVersion", "")]


def _data(body: Body) -> Cells:
    return [len(body.get("data") or ()) + len(body.get("binaryData") or ())]


def _service(body: Body) -> Cells:
    spec = _part(body, "spec")
    ports = ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or ())
    return [spec.get("type") or "ClusterIP", spec.get("clusterIP") or "<none>", ports or "<none>"]


_PLAIN: Final[_Row] = ((), lambda _: [])
_COLUMNS: Final[dict[str, _Row]] = {
    "pods": (("Ready", "Status", "Restarts", "IP"), _pod),
    "nodes": (("Status", "Version"), _node),
    "configmaps": (("Data",), _data),
    "secrets": (("Type", "Data"), lambda body: [body.get("type") or "Opaque", *_data(body)]),
    "services": (("Type", "Cluster-IP", "Port(s)"), _service),
}
