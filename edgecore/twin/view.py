"""What ``edgecore twin`` shows, from the data folder alone, whether the agent runs or not."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from edgecore.twin.book import DeviceName
from edgecore.twin.model import Twin, Value, Version
from edgecore.twin.status import conflict_row, timestamp
from edgecore.twin.store import read_history, read_twins
from protocol.errors import UsageError


def twin_view(path: Path, spelled: str) -> dict[str, Any]:
    """Return a device's twin as plain values.

    Args:
        path: The database of twins.
        spelled: ``NAME`` or ``NAMESPACE/NAME``.

    Raises:
        UsageError: There is no such device here, or the name is that of several.
    """
    name, twin, counts = _find(path, spelled)
    return {
        "namespace": name.namespace,
        "name": name.name,
        "uid": twin.uid,
        "state": twin.state.value,
        "lastOnlineTime": timestamp(twin.last_online_ms) if twin.last_online_ms else None,
        "properties": [
            {
                "name": each,
                "expected": _value(of.expected, of.expected_version),
                "actual": _value(of.actual, of.actual_version),
                "delta": of.delta,
                "problem": of.problem,
            }
            for each, of in twin.properties.items()
        ],
        "conflicts": [conflict_row(each) for each in twin.conflicts],
        "conflictsForgotten": twin.conflicts_forgotten,
        "reports": {
            "waiting": counts.get("last", 0) - counts.get("sent", 0),
            "dropped": counts.get("dropped", 0),
        },
    }


def history_view(path: Path, spelled: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest reports of a device that are on disk, oldest first.

    Raises:
        UsageError: There is no such device here, or the name is that of several.
    """
    name, _, _ = _find(path, spelled)
    return [
        {"number": each.number, "at": timestamp(each.at_ms), "property": each.property, "value": each.value}
        for each in read_history(path, name, limit)
    ]


def _find(path: Path, spelled: str) -> tuple[DeviceName, Twin, dict[str, int]]:
    try:
        twins, counts = read_twins(path)
    except FileNotFoundError:
        twins, counts = {}, {}
    except sqlite3.Error as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    namespace, slash, name = spelled.rpartition("/")
    found = [each for each in twins if each.name == name and (not slash or each.namespace == namespace)]
    if not found:
        known = ", ".join(sorted(f"{each.namespace}/{each.name}" for each in twins)) or "none"
        raise UsageError(f"no device {spelled} on this node; there are: {known}")
    if len(found) > 1:
        raise UsageError(
            f"several devices are called {name}: name the namespace too, as in {found[0].namespace}/{name}"
        )
    return found[0], twins[found[0]], counts


def _value(value: Value | None, version: Version) -> dict[str, Any]:
    return {
        "value": None if value is None else value.text,
        "at": None if value is None else timestamp(value.at_ms),
        "version": {"cloud": version.cloud, "edge": version.edge},
    }
