"""Groups of cgroup v1: a folder in each controller's hierarchy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgecore.cgroups import killing
from edgecore.cgroups.accounts import cpu_time_ns, working_set
from edgecore.cgroups.base import PodUse
from edgecore.cgroups.drivers import Driver, number
from edgecore.cgroups.layout import PERIOD_US

_UNLIMITED: Final = 1 << 62


class DriverV1(Driver):
    """Groups of v1: a folder in each controller's hierarchy."""

    version = 1

    def _open_for_groups(self, path: str) -> None:
        """Do nothing: every group of v1 has its hierarchy's controller."""

    def _quota(self, folder: str) -> int | None:
        quota, period = number(Path(folder, "cpu.cfs_quota_us")), number(Path(folder, "cpu.cfs_period_us"))
        return None if quota is None or quota < 0 or not period else quota * PERIOD_US // period

    def set_quota(self, path: str, quota_us: int | None) -> bool:
        """Set the processor quota; not more than the group above has, which v1 refuses."""
        period, quota = self.at("cpu", path, "cpu.cfs_period_us"), self.at("cpu", path, "cpu.cfs_quota_us")
        killing.put(str(period), str(PERIOD_US))
        return killing.put(str(quota), "-1" if quota_us is None else str(quota_us))

    def usage(self, path: str) -> PodUse | None:
        """Return what a group uses."""
        memory, cpu = self.at("memory", path), self.at("cpuacct", path)
        used = working_set(memory, 1) if memory is not None else None
        cpu_ns = cpu_time_ns(cpu, 1) if cpu is not None else None
        return None if used is None else PodUse(used, cpu_ns or 0, self._pids(path))

    def limits(self, path: str) -> tuple[int | None, int | None]:
        """Return a group's limits."""
        memory, pids = self.at("memory", path, "memory.limit_in_bytes"), self.at("pids", path, "pids.max")
        limit = number(memory) if memory is not None else None
        return limit if limit is not None and limit < _UNLIMITED else None, number(pids) if pids else None

    def _memory_events(self, path: str) -> Path | None:
        return self.at("memory", path, "memory.oom_control")
