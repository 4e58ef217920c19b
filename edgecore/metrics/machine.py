"""The machine's counters for its own Prometheus endpoint, under the names that the node exporter gives them.

Read when somebody asks, a handful of files each; nothing is kept between two questions.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from edgecore.metrics.exposition import Family
from edgecore.metrics.gpus import Gpus
from edgecore.metrics.sensors import Sensors

_MEMINFO: Final = ("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree")
_CPU_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def machine_families(data_dir: Path, sensors: Sensors, gpus: Gpus) -> Iterator[Family]:
    """Yield the machine's metrics.

    Args:
        data_dir: The folder whose file system is shown.
        sensors: Its temperature sensors.
        gpus: Its graphics processors.
    """
    yield from _processors()
    yield from _memory()
    yield from _disks(data_dir)
    yield from _networks()
    yield from _system()
    temperatures = [({"sensor": name}, celsius) for name, celsius in sensors.temperatures().items()]
    yield Family("node_hwmon_temp_celsius", "Temperature by sensor.", temperatures)
    used = list(enumerate(gpus.use()))
    yield Family(
        "DCGM_FI_DEV_GPU_UTIL", "GPU utilization, percent.", [({"gpu": str(n)}, g.busy * 100) for n, g in used]
    )
    memory = [({"gpu": str(n)}, g.memory_used_bytes / (1 << 20)) for n, g in used]
    yield Family("DCGM_FI_DEV_FB_USED", "GPU memory used, MiB.", memory)


def agent_families() -> Iterator[Family]:
    """Yield what this process uses, under the names that Prometheus' clients give it."""
    process = psutil.Process()
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        yield Family("process_cpu_seconds_total", "CPU time.", [({}, times.user + times.system)], "counter")
        yield Family("process_resident_memory_bytes", "Resident memory.", [({}, memory.rss)])
        yield Family("process_start_time_seconds", "Start since the epoch.", [({}, process.create_time())])
        yield Family("process_open_fds", "Open file descriptors.", [({}, process.num_fds())])


def _processors() -> Iterator[Family]:
    times = [
        ({"cpu": str(number), "mode": mode}, getattr(each, mode))
        for number, each in enumerate(psutil.cpu_times(percpu=True))
        for mode in _CPU_MODES
        if hasattr(each, mode)
    ]
    yield Family("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", times, "counter")
    for name, value in zip(("node_load1", "node_load5", "node_load15"), os.getloadavg(), strict=True):
        yield Family(name, "Load average.", [({}, value)])


def _memory() -> Iterator[Family]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    shown = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines)}
    for name in _MEMINFO:
        if name in shown:
            yield Family(f"node_memory_{name}_bytes", "Memory information.", [({}, int(shown[name]) * 1024)])


def _disks(data_dir: Path) -> Iterator[Family]:
    stat = os.statvfs(data_dir)
    where = {"mountpoint": str(_mount_point(data_dir))}
    for name, blocks in (("size", stat.f_blocks), ("free", stat.f_bfree), ("avail", stat.f_bavail)):
        yield Family(f"node_filesystem_{name}_bytes", "File system in bytes.", [(where, blocks * stat.f_frsize)])
    yield Family("node_filesystem_files", "Inodes.", [(where, stat.f_files)])
    yield Family("node_filesystem_files_free", "Inodes that are free.", [(where, stat.f_ffree)])
    counters = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    for name, field in (("read", "read_bytes"), ("written", "write_bytes")):
        moved = [({"device": device}, getattr(each, field)) for device, each in counters.items()]
        yield Family(f"node_disk_{name}_bytes_total", f"Bytes {name}.", moved, "counter")


def _networks() -> Iterator[Family]:
    counters = psutil.net_io_counters(pernic=True, nowrap=False)
    for name, field in (
        ("receive_bytes", "bytes_recv"),
        ("transmit_bytes", "bytes_sent"),
        ("receive_packets", "packets_recv"),
        ("transmit_packets", "packets_sent"),
        ("receive_errs", "errin"),
        ("transmit_errs", "errout"),
        ("receive_drop", "dropin"),
        ("transmit_drop", "dropout"),
    ):
        moved = [({"device": device}, getattr(each, field)) for device, each in counters.items()]
        yield Family(f"node_network_{name}_total", "Network device statistic.", moved, "counter")


def _system() -> Iterator[Family]:
    yield Family("node_time_seconds", "System time since the epoch.", [({}, time.time())])
    yield Family("node_boot_time_seconds", "Time of the boot since the epoch.", [({}, psutil.boot_time())])
    who = platform.uname()
    labels = {"sysname": who.system, "release": who.release, "machine": who.machine, "nodename": who.node}
    yield Family("node_uname_info", "The system as uname shows it.", [(labels, 1)])


def _mount_point(path: Path) -> Path:
    path = path.absolute()
    while not path.is_mount():
        path = path.parent
    return path
