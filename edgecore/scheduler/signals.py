"""Reads what the node may run short of: a handful of system calls each time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from edgecore.cgroups.base import PodsRoom
from edgecore.scheduler.shortage import Reading
from edgecore.thresholds import Signal


class SignalSource(Protocol):
    """Where readings of the node come from."""

    def read(self) -> dict[Signal, Reading]:
        """Return what there is of each thing; what cannot be read is left out."""


@runtime_checkable
class ImageKeeper(Protocol):
    """A runtime that keeps images on this host."""

    @property
    def image_folder(self) -> str:
        """The folder that holds them; empty while it is not known."""

    async def free_disk(self) -> None:
        """Remove what nobody uses.

        Raises:
            OSError: It cannot be done (now).
        """


class HostSignals:
    """Reads this machine.

    Args:
        data_dir: The folder whose file system holds volumes and logs.
        image_folder: Returns the folder whose file system holds images; empty where there is none on this host.
        proc: Where procfs is mounted.
    """

    def __init__(
        self, data_dir: Path, image_folder: Callable[[], str] = lambda: "", proc: Path = Path("/proc")
    ) -> None:
        self._data_dir = data_dir
        self._image_folder = image_folder
        self._proc = proc

    def read(self) -> dict[Signal, Reading]:
        """Return what there is now."""
        found: dict[Signal, Reading | None] = {Signal.MEMORY: self._memory(), Signal.PIDS: self._pids()}
        found[Signal.NODEFS], found[Signal.NODEFS_INODES] = _file_system(str(self._data_dir))
        folder = self._image_folder()
        if folder:
            found[Signal.IMAGEFS], _ = _file_system(folder)
        return {signal: reading for signal, reading in found.items() if reading is not None}

    def _memory(self) -> Reading | None:
        """Return what could be had without swapping, by the kernel's own estimate."""
        try:
            lines = (self._proc / "meminfo").read_text().splitlines()
            fields = {name: int(rest.split()[0]) << 10 for name, _, rest in (line.partition(":") for line in lines)}
            return Reading(fields["MemAvailable"], fields["MemTotal"])
        except (OSError, ValueError, KeyError, IndexError):
            return None

    def _pids(self) -> Reading | None:
        """Return how many more processes and threads there may be; the kernel's load file counts those there are."""
        try:
            kernel = self._proc / "sys" / "kernel"
            bound = min(int((kernel / name).read_text()) for name in ("pid_max", "threads-max"))
            running = int((self._proc / "loadavg").read_text().split()[3].partition("/")[2])
        except (OSError, ValueError, IndexError):
            return None
        return Reading(max(0, bound - running), bound)


def within(room: PodsRoom | None, readings: dict[Signal, Reading]) -> dict[Signal, Reading]:
    """Return the readings with those in place of the machine's in which pods together come to their bound sooner.

    Args:
        room: How the group above all pods fares; None where there is none.
        readings: The machine's.
    """
    if room is None:
        return readings
    bounds = [
        (Signal.MEMORY, room.memory_bytes, room.memory_limit_bytes),
        (Signal.PIDS, room.pids, room.pids_limit),
    ]
    tighter = dict(readings)
    for signal, used, limit in bounds:
        if limit is not None and (signal not in readings or limit - used < readings[signal].available):
            tighter[signal] = Reading(max(0, limit - used), limit)
    return tighter


def _file_system(folder: str) -> tuple[Reading | None, Reading | None]:
    """Return space and inodes of the file system that holds a folder."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None, None
    space = Reading(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
    # Some file systems make inodes as they need them, and have no number of them.
    return space, Reading(found.f_favail, found.f_files) if found.f_files else None
