"""What ``edgecore status`` and ``pods`` show: read from the data folder alone, whether the agent runs or not."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecore.live import ask
from edgecore.meta.engine import ReportRow, Snapshot
from edgecore.meta.slice import decode
from edgecore.meta.sqlite import read_only
from edgecore.meta.store import decode_status
from edgecore.node.identity import DataFolder, Identity, known_identity
from edgecore.statics.folder import recorded
from protocol.errors import UsageError
from protocol.filelock import holder_of
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.mirrors import is_mirror
from protocol.objects.resources import POD_STATUS, PODS
from protocol.objects.times import parse_timestamp


@dataclass(frozen=True, slots=True)
class LocalState:
    """A data folder as it is now.

    Attributes:
        identity: Who the node is.
        agent_pid: The agent that runs on it, 0 where it is unknown, None where none does.
        link: What was last recorded of the link; empty when nothing was.
        stored: What the meta store holds; empty before the first run.
        live: What the running agent tells of its link; empty where none answers.
        static_pods: The static pods, as the agent last read them.
        problems: What is wrong with their files, by name; with their folder under an empty one.
    """

    identity: Identity
    agent_pid: int | None
    link: dict[str, Any]
    stored: Snapshot
    live: dict[str, Any] = field(default_factory=dict)
    static_pods: list[Body] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def read(data_dir: Path) -> LocalState:
    """Read a data folder.

    Raises:
        UsageError: It has not been joined, or cannot be read.
    """
    folder = DataFolder(data_dir.expanduser().absolute())
    identity = known_identity(folder)
    try:
        stored = read_only(folder.meta)
    except FileNotFoundError:
        stored = Snapshot()
    except sqlite3.Error as error:
        raise UsageError(f"cannot read {folder.meta}: {error}") from error
    agent_pid = holder_of(folder.lock)
    live = ask(folder.live) if agent_pid is not None else {}
    static_pods, problems = recorded(folder.static_pods)
    return LocalState(identity, agent_pid, _link(folder), stored, live, static_pods, problems)


def _link(folder: DataFolder) -> dict[str, Any]:
    try:
        recorded = json.loads(folder.link.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def status_of(state: LocalState) -> dict[str, Any]:
    """Return what ``edgecore status`` shows, as plain values."""
    stored, link = state.stored, state.link
    running = state.agent_pid is not None
    return {
        "node": state.identity.node,
        "instance": state.identity.instance,
        "server": state.identity.server,
        "agent": {"running": running, "pid": state.agent_pid},
        "link": {
            "phase": link.get("phase", "unknown") if running else "stopped",
            "address": link.get("address", "") if running else "",
            "reason": link.get("reason", ""),
            "code": link.get("code", 0),
            "since": link.get("since"),
            "retryInSeconds": link.get("retryInSeconds", 0.0) if running else 0.0,
        },
        "inStepOnce": stored.facts.get("complete") == "yes",
        "epoch": int(stored.facts.get("epoch", "0")),
        "objects": len(stored.objects),
        "pods": len(_pods(state)),
        "staticPods": {"pods": len(state.static_pods), "problems": state.problems},
        "owed": sum(row.owed for row in stored.reports) + len(stored.events),
        "live": state.live or None,
    }


def pods_of(state: LocalState, now: float) -> list[dict[str, Any]]:
    """Return a row per pod that this node should run, sorted by namespace and name.

    Args:
        state: The data folder.
        now: Seconds since the epoch, for the age.
    """
    reports = {row.key: row for row in state.stored.reports}
    rows = [_pod_row(pod, reports.get(_status_key(pod)), now) for pod in _pods(state)]
    return sorted(rows, key=lambda row: (row["namespace"], row["name"]))


def _pods(state: LocalState) -> list[Body]:
    """Return the pods that are to run: the static ones, and of what the cloud has sent those that are no mirrors."""
    held = [decode(row.body) for row in state.stored.objects if row.key.resource == PODS]
    return [*state.static_pods, *(pod for pod in held if not is_mirror(pod))]


def _status_key(pod: Body) -> ObjectKey:
    return ObjectKey(POD_STATUS, pod["metadata"].get("namespace", ""), pod["metadata"]["name"])


def _pod_row(pod: Body, report: ReportRow | None, now: float) -> dict[str, Any]:
    metadata = pod["metadata"]
    status: Body = {}
    if report is not None and report.uid == metadata.get("uid"):
        status = decode_status(report.body)
    containers = status.get("containerStatuses") or []
    started = status.get("startTime")
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "ready": f"{sum(bool(each.get('ready')) for each in containers)}/{len(pod['spec'].get('containers') or ())}",
        "status": _phase(metadata, status, containers),
        "restarts": sum(int(each.get("restartCount", 0)) for each in containers),
        "ageSeconds": round(now - parse_timestamp(started)) if started else None,
        "reported": report is not None and not report.owed,
    }


def _phase(metadata: Body, status: Body, containers: list[Body]) -> str:
    """Return the word that ``kubectl get pods`` would show."""
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    for container in containers:
        state = container.get("state") or {}
        for kind in ("waiting", "terminated"):
            reason = (state.get(kind) or {}).get("reason")
            if reason:
                return str(reason)
    return str(status.get("reason") or status.get("phase") or "Pending")


def age(seconds: float | None) -> str:
    """Return a duration as kubectl writes one: ``12s``, ``5m``, ``3h``, ``8d``."""
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(0.0, seconds))}s"


def wall_clock() -> float:
    """Return seconds since the epoch."""
    return time.time()
