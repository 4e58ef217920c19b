"""What a control group has used, v1 or v2: exact where processes come and go, and one read instead of many."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_V1_CPU = "cpuacct"
_V1_MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class GroupFiles:
    """Where a control group's accounts are.

    Attributes:
        cpu: ``cpu.stat`` (v2) or ``cpuacct.usage`` (v1).
        memory: ``memory.current`` or ``memory.usage_in_bytes``.
        memory_stat: ``memory.stat``.
    """

    cpu: Path
    memory: Path
    memory_stat: Path


@dataclass(frozen=True, slots=True)
class GroupUse:
    """What a control group has used.

    Attributes:
        cpu_s: Processor time so far, seconds.
        memory_bytes: In use, without the file pages that could be dropped at once (the working set).
    """

    cpu_s: float
    memory_bytes: int


def group_of(
    pid: int, markers: Collection[str], *, proc: Path = Path("/proc"), sys: Path = Path("/sys")
) -> GroupFiles | None:
    """Return the accounts of the control group that process ``pid`` is in.

    Args:
        pid: A process of the group.
        markers: What a folder on the group's path must be named, one of them: a group that others share is not
            asked for.
        proc: Where procfs is mounted.
        sys: Where sysfs is mounted.
    """
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    paths: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not {*markers}.isdisjoint(path.split("/")):
            paths |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    root = sys / "fs" / "cgroup"
    if _V1_CPU in paths and _V1_MEMORY in paths:
        memory = root / _V1_MEMORY / paths[_V1_MEMORY]
        return GroupFiles(
            root / _V1_CPU / paths[_V1_CPU] / "cpuacct.usage", memory / "memory.usage_in_bytes", memory / "memory.stat"
        )
    if "" in paths and (root / paths[""] / "memory.current").exists():
        group = root / paths[""]
        return GroupFiles(group / "cpu.stat", group / "memory.current", group / "memory.stat")
    return None


def read_group(files: GroupFiles) -> GroupUse | None:
    """Return what the group has used; None where it is gone."""
    try:
        stat = _fields(files.memory_stat)
        droppable = stat.get("total_inactive_file", stat.get("inactive_file", 0))
        memory = max(0, int(files.memory.read_bytes()) - droppable)
        if files.cpu.name == "cpuacct.usage":
            return GroupUse(int(files.cpu.read_bytes()) / 1e9, memory)
        return GroupUse(_fields(files.cpu)["usage_usec"] / 1e6, memory)
    except (OSError, ValueError, KeyError):
        return None


def _fields(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {parts[0]: int(parts[1]) for parts in lines if len(parts) == 2}
