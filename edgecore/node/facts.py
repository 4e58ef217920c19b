"""The machine's identity, system and capacity, which do not change while the agent runs, and its addresses."""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

KUBELET_VERSION_PREFIX = "v1.33.0-aiokubeedge-"
"""What clients compare against; the part after the prefix is this project's version."""

LOOPBACK = "127.0.0.1"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about the machine.

    Attributes:
        hostname: Its host name.
        addresses: Its IP addresses, the one on the default route first.
        machine_id: ``/etc/machine-id``, or empty.
        boot_id: Changes at each boot.
        kernel: The kernel's release.
        os_image: The system's name for people.
        architecture: As Go spells it (``amd64``, ``arm64``).
        cpus: Processors this process may use.
        memory_bytes: Physical memory, or the cgroup's limit where that is lower.
        disk_bytes: Size of the file system of the data folder.
    """

    hostname: str
    addresses: tuple[str, ...]
    machine_id: str
    boot_id: str
    kernel: str
    os_image: str
    architecture: str
    cpus: int
    memory_bytes: int
    disk_bytes: int


def gather(data_dir: Path) -> Facts:
    """Read the machine's facts."""
    return Facts(
        hostname=socket.gethostname(),
        addresses=addresses(),
        machine_id=_line(Path("/etc/machine-id")),
        boot_id=_line(Path("/proc/sys/kernel/random/boot_id")),
        kernel=platform.release(),
        os_image=_os_image(),
        architecture=architecture(),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=min(psutil.virtual_memory().total, _cgroup_limit()),
        disk_bytes=psutil.disk_usage(str(data_dir)).total,
    )


def architecture() -> str:
    """Return the machine's architecture as Kubernetes spells it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def operating_system() -> str:
    """Return the operating system as Kubernetes spells it."""
    return platform.system().lower()


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _cgroup_limit() -> int:
    text = _line(Path("/sys/fs/cgroup/memory.max"))
    return int(text) if text.isdigit() else 1 << 62


def addresses() -> tuple[str, ...]:
    """Return the machine's IPv4 addresses, the one on the default route first; loopback where it has no other."""
    found = [_default_route_address()]
    for interface in psutil.net_if_addrs().values():
        found += [each.address for each in interface if each.family == socket.AF_INET]
    lasting = [address for address in found if address and not address.startswith(("127.", "169.254."))]
    return tuple(dict.fromkeys(lasting)) or (LOOPBACK,)


def _default_route_address() -> str:
    """Return the address a packet to the outside would leave from; nothing is sent to find out."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
            return str(probe.getsockname()[0])
    except OSError:
        return ""
