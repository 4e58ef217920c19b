"""What the process runtime's pods use: from their control groups, or by adding up their processes.

Reads the runtime's records and ``/proc``, and asks nobody. A process belongs to the container in whose session it is,
else to the one it descends from, else, where its pod has but one, to that: strays come to the pod's supervisor.
Memory of processes is their resident set, so what several share counts several times.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from edgecore.cgroups.accounts import GroupAccounts, accounts_of, read_accounts
from edgecore.metrics.usage import ContainerUsage, Usage
from edgecore.pods.runtimes.process import proc, records
from protocol.objects.keys import Uid

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class _Process(NamedTuple):
    """A process as ``/proc/<pid>/stat`` shows it; times in clock ticks, children that were waited for included."""

    parent: int
    session: int
    start: int
    ticks: int
    pages: int


@dataclass(slots=True)
class _Instance:
    """A running instance, and what was counted of it."""

    pod: Uid
    name: str
    attempt: int
    pid: int
    start: int
    group: GroupAccounts | None
    cpu_s: float = 0.0
    missing_s: float = 0.0

    def counted(self, cpu_s: float) -> float:
        """Return the processor time so far, which never falls.

        What a stray used leaves with it, unless a process of its container waited for it.
        """
        self.missing_s = max(self.missing_s, self.cpu_s - cpu_s)
        self.cpu_s = max(self.cpu_s, cpu_s + self.missing_s)
        return self.cpu_s


class ProcessUsage:
    """Implements :class:`edgecore.metrics.usage.UsageSource`.

    Args:
        root: The process runtime's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._boot = proc.boot_id()
        self._known: dict[tuple[str, str, int], _Instance] = {}

    async def usage(self) -> Usage:
        """Measure every running container, in a thread: some milliseconds on a device with many processes."""
        return await asyncio.to_thread(self._measure)

    def _measure(self) -> Usage:
        self._known = {key: instance for key in self._running() if (instance := self._instance(key)) is not None}
        used: list[ContainerUsage] = []
        ungrouped: list[_Instance] = []
        for instance in self._known.values():
            use = read_accounts(instance.group) if instance.group is not None else None
            if use is None:
                ungrouped.append(instance)
            else:
                used.append(_usage(instance, use.cpu_s, use.memory_bytes))
        return Usage([*used, *(_added_up(ungrouped, _processes()) if ungrouped else ())])

    def _running(self) -> Iterable[tuple[str, str, int]]:
        """Yield uid, container and attempt of each instance that has no exit on record."""
        for pod in _listed(self._root):
            containers = self._root / pod / "containers"
            for name in _listed(containers):
                attempts = [int(entry) for entry in _listed(containers / name) if entry.isdigit()]
                if attempts and not (containers / name / str(max(attempts)) / records.EXIT).exists():
                    yield pod, name, max(attempts)

    def _instance(self, key: tuple[str, str, int]) -> _Instance | None:
        known = self._known.get(key)
        if known is not None:
            return known
        pod, name, attempt = key
        try:
            running = records.read(str(self._root / pod / "containers" / name / str(attempt) / records.RUNNING))
            if running is None or running["boot"] != self._boot:
                return None
            pid, start = int(running["pid"]), int(running["start"])
        except (OSError, ValueError, KeyError):
            return None  # torn, or just removed: the runtime will say so
        return _Instance(Uid(pod), name, attempt, pid, start, accounts_of(pid, [f"pod{pod}"]))


def _usage(instance: _Instance, cpu_s: float, memory_bytes: int) -> ContainerUsage:
    return ContainerUsage(instance.pod, instance.name, str(instance.attempt), instance.counted(cpu_s), memory_bytes)


def _added_up(instances: list[_Instance], processes: Mapping[int, _Process]) -> Iterable[ContainerUsage]:
    leaders = {
        instance.pid: instance
        for instance in instances
        if instance.pid in processes and processes[instance.pid].start == instance.start
    }
    ticks, pages = dict.fromkeys(leaders, 0), dict.fromkeys(leaders, 0)
    guardians = _guardians(leaders, processes)
    for pid in processes:
        leader = _leader_of(pid, leaders, guardians, processes)
        if leader:
            ticks[leader] += processes[pid].ticks
            pages[leader] += processes[pid].pages
    for pid, instance in leaders.items():
        yield _usage(instance, ticks[pid] / _TICKS, pages[pid] * _PAGE_BYTES)


def _guardians(leaders: Mapping[int, _Instance], processes: Mapping[int, _Process]) -> dict[int, int]:
    """Return, of each supervisor, the leader of the one container it watches; 0 where there are several."""
    guardians: dict[int, int] = {}
    for pid in leaders:
        guardian = processes[pid].parent
        guardians[guardian] = 0 if guardian in guardians else pid
    return guardians


def _leader_of(
    pid: int, leaders: Mapping[int, _Instance], guardians: Mapping[int, int], processes: Mapping[int, _Process]
) -> int:
    """Return the first process of the container that ``pid`` belongs to; 0 where it belongs to none."""
    start = processes[pid].start
    for _ in processes:  # a table that was read while it changed may have its end bite its tail
        if pid not in processes or pid in guardians:
            break
        session = processes[pid].session
        if session in leaders and start >= leaders[session].start:
            return session
        if processes[pid].parent in guardians:
            return guardians[processes[pid].parent]
        pid = processes[pid].parent
    return 0


def _processes() -> dict[int, _Process]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = _process(name)
            if process is not None:
                found[int(name)] = process
    return found


def _process(pid: str) -> _Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            line = file.read()
    except OSError:
        return None
    fields = line[line.rindex(b")") + 2 :].split()  # the command's name may contain anything
    return _Process(int(fields[1]), int(fields[3]), int(fields[19]), sum(map(int, fields[11:15])), int(fields[21]))


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
