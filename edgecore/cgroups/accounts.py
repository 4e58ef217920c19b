"""What a control group has used, v1 or v2: exact where processes come and go, and one read instead of many.

Any group will do, an engine's as well as one of this agent's own tree.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edgecore.cgroups.discovery import discover
from edgecore.cgroups.drivers import fields, number
from edgecore.cgroups.layout import Version


@dataclass(frozen=True, slots=True)
class GroupAccounts:
    """Where a control group's accounts are.

    Attributes:
        version: Of control groups.
        cpu: The group's folder in the hierarchy that counts processor time.
        memory: Its folder in the one that counts memory; the same with v2.
    """

    version: Version
    cpu: Path
    memory: Path


@dataclass(frozen=True, slots=True)
class GroupUse:
    """What a control group has used.

    Attributes:
        cpu_s: Processor time so far, seconds.
        memory_bytes: See :func:`working_set`.
    """

    cpu_s: float
    memory_bytes: int


def accounts_of(pid: int, markers: Collection[str], *, proc: Path = Path("/proc")) -> GroupAccounts | None:
    """Return the accounts of the control group that process ``pid`` is in; None where they cannot be told.

    Args:
        pid: A process of the group.
        markers: What a folder on the group's path must be named, one of them: a group that others share is not
            asked for.
        proc: Where procfs is mounted.
    """
    seen = discover(proc, process=str(pid))
    if seen is None:
        return None
    cpu, memory = seen.controllers.get("cpuacct" if seen.version == 1 else "cpu"), seen.controllers.get("memory")
    if cpu is None or memory is None:
        return None
    if any({*markers}.isdisjoint(each.own.relative_to(each.point).parts) for each in (cpu, memory)):
        return None
    return GroupAccounts(seen.version, cpu.own, memory.own)


def read_accounts(accounts: GroupAccounts) -> GroupUse | None:
    """Return what the group has used; None where it is gone."""
    used, cpu_ns = working_set(accounts.memory, accounts.version), cpu_time_ns(accounts.cpu, accounts.version)
    return None if used is None or cpu_ns is None else GroupUse(cpu_ns / 1e9, used)


def working_set(folder: Path, version: Version) -> int | None:
    """Return a group's bytes in use, without the file pages that could be dropped at once; None where it has none."""
    used = number(folder / ("memory.usage_in_bytes" if version == 1 else "memory.current"))
    if used is None:
        return None
    droppable = fields(folder / "memory.stat").get("total_inactive_file" if version == 1 else "inactive_file", 0)
    return max(0, used - droppable)


def cpu_time_ns(folder: Path, version: Version) -> int | None:
    """Return a group's processor time so far, nanoseconds; None where it is not counted."""
    if version == 1:
        return number(folder / "cpuacct.usage")
    used_us = fields(folder / "cpu.stat").get("usage_usec")
    return None if used_us is None else used_us * 1000
