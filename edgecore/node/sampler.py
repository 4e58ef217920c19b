"""Samples of how busy the machine is: a handful of reads under /proc each, no processes walked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from edgecore.metrics.gpus import Gpus
from edgecore.metrics.sensors import Sensors
from edgecore.metrics.windows import Rates


@dataclass(frozen=True, slots=True)
class Sample:
    """The machine at one moment.

    Attributes:
        cpu: Processor use since the last sample, 0 to 1 of the whole machine.
        memory_total_bytes: Physical memory.
        memory_available_bytes: Memory that could be had without swapping.
        disk_total_bytes: Size of the data folder's file system.
        disk_free_bytes: Of it, free to this process.
        processes: Processes on the machine.
        processes_limit: The kernel's bound on them.
        rx_bytes_s: Received since the last sample on all but the loopback interface, bytes per second.
        tx_bytes_s: Sent likewise.
        temperature_c: The hottest sensor, degrees Celsius; None where there is none.
        gpu: Use of all graphics processors together, 0 to 1; None where there is none.
    """

    cpu: float
    memory_total_bytes: int
    memory_available_bytes: int
    disk_total_bytes: int
    disk_free_bytes: int
    processes: int
    processes_limit: int
    rx_bytes_s: float
    tx_bytes_s: float
    temperature_c: float | None = None
    gpu: float | None = None

    @property
    def memory_used(self) -> float:
        """Share of memory in use, 0 to 1."""
        return 1 - self.memory_available_bytes / self.memory_total_bytes if self.memory_total_bytes else 0.0

    @property
    def disk_used(self) -> float:
        """Share of the disk in use, 0 to 1."""
        return 1 - self.disk_free_bytes / self.disk_total_bytes if self.disk_total_bytes else 0.0


class Sampler(Protocol):
    """Where samples come from."""

    def sample(self, now: float) -> Sample:
        """Take a sample at ``now``, seconds on a monotonic clock."""

    def network(self, now: float) -> tuple[float, float]:
        """Return what was received and sent since it was last asked for or sampled, bytes per second."""


class HostSampler:
    """Samples this machine.

    Args:
        data_dir: The folder whose disk is watched.

    Attributes:
        sensors: Its temperature sensors.
        gpus: Its graphics processors.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = str(data_dir)
        self._processes_limit = _pid_max()
        self._traffic: Rates[tuple[str, bool]] = Rates()
        self.sensors = Sensors()
        self.gpus = Gpus()
        psutil.cpu_percent(interval=None)  # the first call only sets the mark

    def sample(self, now: float) -> Sample:
        """Take a sample."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(self._data_dir)
        received, sent = self.network(now)
        gpus = [each.busy for each in self.gpus.use()]
        return Sample(
            cpu=psutil.cpu_percent(interval=None) / 100,
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            disk_total_bytes=disk.total,
            disk_free_bytes=disk.free,
            processes=_process_count(),
            processes_limit=self._processes_limit,
            rx_bytes_s=received,
            tx_bytes_s=sent,
            temperature_c=self.sensors.hottest(),
            gpu=sum(gpus) / len(gpus) if gpus else None,
        )

    def network(self, now: float) -> tuple[float, float]:
        """Return the present traffic, each interface by itself: one that comes, goes or begins anew is no burst."""
        counters = psutil.net_io_counters(pernic=True, nowrap=False)
        outside = {name: each for name, each in counters.items() if name != "lo"}
        counted = {(name, True): float(each.bytes_recv) for name, each in outside.items()}
        counted |= {(name, False): float(each.bytes_sent) for name, each in outside.items()}
        rates = self._traffic.update(counted, now)
        received = sum(rate for (_, incoming), rate in rates.items() if incoming)
        return received, sum(rates.values()) - received


def _pid_max() -> int:
    try:
        return int(Path("/proc/sys/kernel/pid_max").read_text())
    except (OSError, ValueError):
        return 1 << 22


def _process_count() -> int:
    """Count processes and threads as the kernel's bound does; its load file holds the number ready made."""
    try:
        with open("/proc/loadavg", encoding="ascii") as file:
            return int(file.read().split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return len(os.listdir("/proc")) if os.path.isdir("/proc") else 0
