"""What goes up of a twin: a DeviceStatus' fields, with versions (:data:`protocol.objects.devices.DEVICE_STATUS`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edgecore.twin.model import Conflict, Property, Twin
from edgecore.twin.shape import DeviceShape
from protocol.objects.devices import CONFLICTS_SHOWN
from protocol.objects.keys import Body
from protocol.objects.propertyvalues import PropertyShape


def status_of(twin: Twin, shape: DeviceShape) -> Body:
    """Return what to tell the cloud of a twin."""
    status: Body = {
        "twins": [_twin(name, each, shape) for name, each in twin.properties.items()],
        "state": twin.state.value,
    }
    if twin.last_online_ms:
        status["lastOnlineTime"] = timestamp(twin.last_online_ms)
    extensions: Body = {}
    if twin.conflicts:
        extensions["conflicts"] = [conflict_row(each) for each in twin.conflicts[-CONFLICTS_SHOWN:]]
    problems = {name: each.problem for name, each in twin.properties.items() if each.problem}
    if problems:
        extensions["problems"] = problems
    if extensions:
        status["extensions"] = extensions
    return status


def conflict_row(conflict: Conflict) -> dict[str, Any]:
    """Return a conflict as people are shown it."""
    return {
        "property": conflict.property,
        "lost": conflict.lost,
        "won": conflict.won,
        "cloudVersion": str(conflict.cloud),
        "at": timestamp(conflict.at_ms),
    }


def edge_versions(status: Body) -> dict[str, int]:
    """Return the edge version of each desired value in a status that :func:`status_of` made."""
    return {
        each["propertyName"]: int(each["observedDesired"]["metadata"]["edgeVersion"])
        for each in status.get("twins", ())
        if "observedDesired" in each
    }


def timestamp(at_ms: int) -> str:
    """Return an instant as the Kubernetes API writes it."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _twin(name: str, each: Property, shape: DeviceShape) -> Body:
    row: Body = {"propertyName": name}
    kind = shape.properties.get(name, PropertyShape()).type.value
    version = each.expected_version
    if each.expected is not None or version.edge:
        metadata = {"type": kind, "cloudVersion": str(version.cloud), "edgeVersion": str(version.edge)}
        if each.expected is not None:
            metadata["timestamp"] = str(each.expected.at_ms)
        row["observedDesired"] = {"value": "" if each.expected is None else each.expected.text, "metadata": metadata}
    if each.actual is not None:
        metadata = {"type": kind, "timestamp": str(each.actual.at_ms), "edgeVersion": str(each.actual_version.edge)}
        row["reported"] = {"value": each.actual.text, "metadata": metadata}
    return row
