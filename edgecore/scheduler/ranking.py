"""In which order pods are ended when the node runs short: Kubernetes' order, and S13 of the seed document. Pure.

For memory and disk those that use more than they request come first, then lower priority; then, for memory, BestEffort
before Burstable (the one point in which this is finer than the kubelet, which looks at the excess at once), pods of the
low SLA tier, and the larger excess. For processes it is priority, then use. Never chosen: critical pods, static ones
too; and for memory Guaranteed pods, whose limit is their request, so that they are never what memory went to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from edgecore.pods.holds import Hold
from edgecore.thresholds import Signal
from protocol.objects.keys import Body, Uid
from protocol.objects.mirrors import is_static
from protocol.objects.podresources import pod_resources
from protocol.objects.qos import QosClass, qos_class
from protocol.objects.quantities import whole

CRITICAL_PRIORITY: Final = 2_000_000_000
_CLASSES: Final[dict[QosClass, int]] = {"BestEffort": 0, "Burstable": 1, "Guaranteed": 2}


@dataclass(frozen=True, slots=True)
class ContainerStat:
    """What one container uses and requests of memory.

    Attributes:
        name: Its name.
        memory_bytes: In use.
        memory_request_bytes: Requested.
    """

    name: str
    memory_bytes: int
    memory_request_bytes: int


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What a pod has on the node's disk: volumes that end with it, logs, and what its containers have written.

    Attributes:
        used_bytes: All together.
        inodes: Files and folders.
        volumes: Bytes of each emptyDir volume, those in memory included.
        containers: Bytes of each container's logs and written layer.
    """

    used_bytes: int = 0
    inodes: int = 0
    volumes: dict[str, int] = field(default_factory=dict)
    containers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodStat:
    """A pod that runs, and what it uses.

    Attributes:
        pod: The pod.
        hold: How far it is held back.
        containers: What each of its containers uses of memory.
        pids: Its processes and threads.
        disk: What it has on disk; None where that was not measured.
        sla: Its tier: ``high``, ``medium``, ``low``, or empty.
        ending: Whether the node has decided to end it already.
    """

    pod: Body
    hold: Hold = Hold.NONE
    containers: tuple[ContainerStat, ...] = ()
    pids: int = 0
    disk: DiskUse | None = None
    sla: str = ""
    ending: bool = False

    @property
    def uid(self) -> Uid:
        """The pod's uid."""
        return Uid(self.pod["metadata"]["uid"])

    @property
    def name(self) -> str:
        """Namespace and name, for logs."""
        metadata = self.pod["metadata"]
        return f"{metadata.get('namespace', '')}/{metadata['name']}"

    @property
    def priority(self) -> int:
        """Its priority."""
        return int(self.pod["spec"].get("priority") or 0)

    @property
    def memory_bytes(self) -> int:
        """Memory in use by all containers."""
        return sum(each.memory_bytes for each in self.containers)


def is_critical(pod: Body) -> bool:
    """Tell whether the node may not end the pod for want of something: what the kubelet calls critical."""
    return is_static(pod) or int(pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY


def ranked(signal: Signal, pods: Iterable[PodStat]) -> list[PodStat]:
    """Return the pods that may be ended for want of ``signal``, the first to be ended first."""
    candidates = [each for each in pods if not each.ending and not is_critical(each.pod)]
    if signal is Signal.MEMORY:
        # One that has no memory, or whose memory is not known, gives none back.
        candidates = [each for each in candidates if qos_class(each.pod) != "Guaranteed" and each.memory_bytes > 0]
    return sorted(candidates, key=_KEYS[signal])


def _by_memory(stat: PodStat) -> tuple[bool, int, int, bool, int, Uid]:
    over = stat.memory_bytes - pod_resources(stat.pod["spec"]).memory_request_bytes
    quality = _CLASSES[qos_class(stat.pod)]
    return over <= 0, stat.priority, quality, stat.sla != "low", -over, stat.uid


def _by_disk(stat: PodStat) -> tuple[bool, int, bool, int, Uid]:
    over = (stat.disk.used_bytes if stat.disk else 0) - disk_request(stat.pod)
    return over <= 0, stat.priority, stat.sla != "low", -over, stat.uid


def _by_inodes(stat: PodStat) -> tuple[int, bool, int, Uid]:
    return stat.priority, stat.sla != "low", -(stat.disk.inodes if stat.disk else 0), stat.uid


def _by_pids(stat: PodStat) -> tuple[int, bool, int, Uid]:
    return stat.priority, stat.sla != "low", -stat.pids, stat.uid


def memory_request(container: Body) -> int:
    """Return the memory that a container requests, bytes; its limit where it states only that."""
    resources = container.get("resources") or {}
    amounts = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return whole(amounts.get("memory", 0))


def disk_request(pod: Body) -> int:
    """Return the ephemeral storage that a pod's containers request together, bytes."""
    total = 0
    for container in pod["spec"].get("containers") or ():
        resources = container.get("resources") or {}
        amounts = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        total += whole(amounts.get("ephemeral-storage", 0))
    return total


_KEYS: Final[dict[Signal, Callable[[PodStat], tuple[object, ...]]]] = {
    Signal.MEMORY: _by_memory,
    Signal.NODEFS: _by_disk,
    Signal.IMAGEFS: _by_disk,
    Signal.NODEFS_INODES: _by_inodes,
    Signal.PIDS: _by_pids,
}
