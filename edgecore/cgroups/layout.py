"""Which group a pod is in, and which files of it get which values, for cgroup v1 and v2. Performs no I/O.

The tree is Kubernetes'::

    <root>/pod<uid>/<container>                 Guaranteed pods stand beside the other classes,
    <root>/burstable/pod<uid>/<container>
    <root>/besteffort/pod<uid>/<container>      which share what their class gets

so that the processor is divided by requests first: Burstable pods have the sum of their requests between them, all
BestEffort pods together the least weight there is.

Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/; the kubelet's qos_container_manager.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from protocol.objects.keys import Uid
from protocol.objects.qos import QosClass

Version = Literal[1, 2]
Values = Mapping[tuple[str, str], str]
"""What is written where: controller and file to content, in the order in which it has to be written."""

CLASSES: Final[Mapping[QosClass, str]] = {"Guaranteed": "", "Burstable": "burstable", "BestEffort": "besteffort"}
"""The folder of each class below the root."""

POD_PREFIX: Final = "pod"
PERIOD_US: Final = 100_000
LEAST_QUOTA_US: Final = 1_000
MOST_QUOTA_US: Final = 1 << 40
"""Ten million cores; the kernel refuses what is sixteen times as much."""
LEAST_SHARES: Final = 2
MOST_SHARES: Final = 262_144
_SHARES_PER_CORE: Final = 1024
_MOST_WEIGHT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a group is held to; None and 0 leave it free.

    Attributes:
        cpu_shares: Its weight beside its siblings, in v1's measure: 1024 for each core requested.
        cpu_limit_m: Thousandths of a core it may use.
        memory_limit_bytes: What it cannot exceed; swap is not given on top.
        memory_kept_bytes: What is not taken from it while others can give (``memory.min``).
        memory_spared_bytes: What is not taken from it while others have more than theirs (``memory.low``, v1's soft
            limit).
        pids_limit: Processes and threads.
        dies_whole: When memory ends, all of it is killed and not a part (v2).
    """

    cpu_shares: int = LEAST_SHARES
    cpu_limit_m: int | None = None
    memory_limit_bytes: int | None = None
    memory_kept_bytes: int = 0
    memory_spared_bytes: int = 0
    pids_limit: int | None = None
    dies_whole: bool = False


def pod_folder(quality: QosClass, uid: Uid) -> str:
    """Return the path of a pod's group, relative to the root.

    Raises:
        ValueError: The uid cannot name a folder.
    """
    if not uid or "/" in uid or "\0" in uid or "\n" in uid:
        raise ValueError(f"uid {uid!r} cannot name a control group")
    return "/".join(part for part in (CLASSES[quality], f"{POD_PREFIX}{uid}") if part)


def slice_of(root: str, quality: QosClass, uid: Uid) -> str:
    """Return the systemd slice of a pod below the one called ``root``, for engines whose groups systemd makes.

    A dash in a slice's name begins a level, so those of the uid become underscores.
    """
    parts = (root, CLASSES[quality], f"{POD_PREFIX}{uid.replace('-', '_')}")
    return "-".join(part for part in parts if part) + ".slice"


def shares_of(milli: int) -> int:
    """Return v1's shares for thousandths of a core."""
    return max(LEAST_SHARES, min(milli * _SHARES_PER_CORE // 1000, MOST_SHARES))


def weight_of(shares: int) -> int:
    """Return v2's weight (1 to 10000) for v1's shares (2 to 262144): in proportion, so that ratios stay."""
    return 1 + (shares - LEAST_SHARES) * (_MOST_WEIGHT - 1) // (MOST_SHARES - LEAST_SHARES)


def quota_of(milli: int) -> int:
    """Return the microseconds of each :data:`PERIOD_US` for thousandths of a core."""
    return min(max(LEAST_QUOTA_US, milli * PERIOD_US // 1000), MOST_QUOTA_US)


def values_of(bounds: Bounds, version: Version) -> Values:
    """Return every file of a group that has ``bounds``, those included that set it free of earlier ones."""
    return _values_of_v2(bounds) if version == 2 else _values_of_v1(bounds)


def _values_of_v2(bounds: Bounds) -> Values:
    quota = "max" if bounds.cpu_limit_m is None else str(quota_of(bounds.cpu_limit_m))
    limited = bounds.memory_limit_bytes is not None
    return {
        ("cpu", "cpu.weight"): str(weight_of(bounds.cpu_shares)),
        ("cpu", "cpu.max"): f"{quota} {PERIOD_US}",
        ("memory", "memory.max"): str(bounds.memory_limit_bytes) if limited else "max",
        ("memory", "memory.swap.max"): "0" if limited else "max",
        ("memory", "memory.min"): str(bounds.memory_kept_bytes),
        ("memory", "memory.low"): str(bounds.memory_spared_bytes),
        ("memory", "memory.oom.group"): "1" if bounds.dies_whole else "0",
        ("pids", "pids.max"): str(bounds.pids_limit) if bounds.pids_limit else "max",
    }


def _values_of_v1(bounds: Bounds) -> Values:
    limit = -1 if bounds.memory_limit_bytes is None else bounds.memory_limit_bytes
    return {
        ("cpu", "cpu.shares"): str(bounds.cpu_shares),
        ("cpu", "cpu.cfs_period_us"): str(PERIOD_US),
        ("cpu", "cpu.cfs_quota_us"): "-1" if bounds.cpu_limit_m is None else str(quota_of(bounds.cpu_limit_m)),
        ("memory", "memory.limit_in_bytes"): str(limit),
        # Memory and swap together, where the kernel counts swap: so, no swap.
        ("memory", "memory.memsw.limit_in_bytes"): str(limit),
        ("memory", "memory.soft_limit_in_bytes"): str(bounds.memory_kept_bytes or bounds.memory_spared_bytes or -1),
        ("pids", "pids.max"): str(bounds.pids_limit) if bounds.pids_limit else "max",
    }


OPTIONAL: Final = frozenset({"memory.swap.max", "memory.memsw.limit_in_bytes", "memory.oom.group"})
"""Files that kernels without swap accounting, or older ones, do not have."""


def class_bounds(pods: Iterable[Bounds], quality: QosClass) -> Bounds:
    """Return what holds a class together: what its pods are promised, and no limit."""
    pods = list(pods)
    if quality == "BestEffort":
        return Bounds()
    return Bounds(
        cpu_shares=min(sum(pod.cpu_shares for pod in pods) or LEAST_SHARES, MOST_SHARES),
        memory_kept_bytes=sum(pod.memory_kept_bytes for pod in pods),
        memory_spared_bytes=sum(pod.memory_spared_bytes for pod in pods),
    )
