"""Groups of cgroup v2: one folder for all controllers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from edgecore.cgroups import killing
from edgecore.cgroups.accounts import cpu_time_ns, working_set
from edgecore.cgroups.base import PodUse
from edgecore.cgroups.drivers import Driver, number, write
from edgecore.cgroups.layout import PERIOD_US


class DriverV2(Driver):
    """Groups of v2: one folder for all controllers."""

    version = 2

    def _open_for_groups(self, path: str) -> None:
        enable(self._places[0] / path, self._folders)

    def _quota(self, folder: str) -> int | None:
        quota, _, period = killing.text(os.path.join(folder, "cpu.max")).partition(" ")
        return int(quota) * PERIOD_US // int(period) if quota.isdecimal() and period.isdecimal() else None

    def set_quota(self, path: str, quota_us: int | None) -> bool:
        """Set the processor quota."""
        wanted = "max" if quota_us is None else str(quota_us)
        return killing.put(str(self.at("cpu", path, "cpu.max")), f"{wanted} {PERIOD_US}")

    def usage(self, path: str) -> PodUse | None:
        """Return what a group uses."""
        folder = self._places[0] / path
        used = working_set(folder, 2)
        return None if used is None else PodUse(used, cpu_time_ns(folder, 2) or 0, self._pids(path))

    def limits(self, path: str) -> tuple[int | None, int | None]:
        """Return a group's limits."""
        folder = self._places[0] / path
        return number(folder / "memory.max"), number(folder / "pids.max")

    def stalled(self, path: str) -> float | None:
        """Return the first figure of ``memory.pressure``."""
        words = killing.text(str(self._places[0] / path / "memory.pressure")).split()
        if len(words) < 2 or words[0] != "some" or not words[1].startswith("avg10="):
            return None
        return float(words[1].removeprefix("avg10=")) / 100

    def _counted(self, folder: str) -> list[str]:
        return [folder]  # which counts what is below, too

    def _memory_events(self, path: str) -> Path | None:
        return self.at("memory", path, "memory.events")


def enable(folder: Path, controllers: Iterable[str]) -> None:
    """Give the groups in a v2 folder controllers of their own.

    Raises:
        OSError: The kernel refuses, because processes are in the folder itself, say.
    """
    had = killing.text(str(folder / "cgroup.subtree_control")).split()
    missing = [f"+{name}" for name in controllers if name not in had]
    if missing:
        write(folder / "cgroup.subtree_control", " ".join(missing))
