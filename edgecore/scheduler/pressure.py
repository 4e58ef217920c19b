"""Watches what the node may run short of, and has pods held back or ended: the shell around the eviction core.

Concurrency: one task, :meth:`PressureMonitor.run`, owns all of it. It looks every ten seconds, and every second while
something is near its threshold; only then are pods measured. A look that fails is logged, and the next one follows.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from edgecore.cgroups.base import PodControls
from edgecore.metrics.exposition import Family
from edgecore.metrics.usage import ContainerUsage, UsageSource
from edgecore.pods import status as statuses
from edgecore.pods.events import PodFailed, PodHeld
from edgecore.pods.holds import Hold
from edgecore.pods.runtimes.base import ContainerId, Runtime
from edgecore.pods.storage import PodStorage
from edgecore.scheduler.eviction import Act, Evictions, FreeDisk
from edgecore.scheduler.locallimits import is_limited
from edgecore.scheduler.ranking import ContainerStat, DiskUse, PodStat, memory_request
from edgecore.scheduler.shortage import Readings
from edgecore.scheduler.signals import SignalSource, within
from edgecore.thresholds import PRESSURES, EvictionSettings
from protocol.objects.keys import Body, Uid
from protocol.objects.sla import tier_of

log = structlog.get_logger(__name__)


class Pods(Protocol):
    """The pods of this node, as the pods driver has them."""

    def statuses(self) -> Sequence[tuple[Body, Body]]:
        """Return each pod with its status as last reported."""

    def holds(self) -> Mapping[Uid, Hold]:
        """Return how far each pod that is to run is held back."""

    def decided(self, *decisions: PodFailed | PodHeld) -> None:
        """Take note of what the node has decided."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a monitor looks, and what it can free.

    Attributes:
        signals: The machine.
        usage: What measures the pods' containers, one source per runtime.
        storage: What measures their volumes.
        runtimes: Where their logs are.
        controls: Their control groups; None where there are none.
        reclaim: What frees disk space without ending a pod.
    """

    signals: SignalSource
    usage: Sequence[UsageSource] = ()
    storage: PodStorage | None = None
    runtimes: Sequence[Runtime] = ()
    controls: PodControls | None = None
    reclaim: Sequence[Callable[[], Awaitable[None]]] = ()


async def _nobody() -> None:
    """Tell nobody that a condition has changed."""


class PressureMonitor:
    """Holds pods back and ends them when the node runs short.

    Args:
        settings: When it is short.
        pods: The pods.
        sources: Where to look.
        conditions: Node conditions that an earlier agent left standing.
        changed: Told when the node's conditions have changed.
    """

    def __init__(
        self,
        settings: EvictionSettings,
        pods: Pods,
        sources: Sources,
        *,
        conditions: Iterable[str] = (),
        changed: Callable[[], Awaitable[None]] = _nobody,
    ) -> None:
        self._pods = pods
        self._sources = sources
        self._changed = changed
        self._known = frozenset(conditions)
        self._settings = settings
        self._evictions: Evictions | None = None
        self._acts: Counter[Hold] = Counter()

    @property
    def conditions(self) -> frozenset[str]:
        """The pressure conditions that the node has."""
        return self._known

    async def run(self) -> None:
        """Look again and again until cancelled."""
        clock = asyncio.get_running_loop().time
        evictions = self._evictions = Evictions(self._settings, self._known, clock())
        while True:
            try:
                await self.look(clock())
            except OSError as error:
                log.warning("the node's pressure cannot be seen", cause=str(error))
            except Exception:
                log.exception("a look at the node's pressure failed")
            await asyncio.sleep(evictions.next_look_s())

    async def look(self, now: float) -> None:
        """Look once, at ``now`` seconds on the loop's clock.

        Raises:
            OSError: Something cannot be measured just now.
        """
        evictions = self._evictions = self._evictions or Evictions(self._settings, self._known, now)
        for _ in range(2):  # once more where something was freed
            readings = await self._read()
            stats = await self._stats(evictions, readings)
            acts = evictions.look(readings, stats, now)
            if not await self._carry_out(acts):
                break
        if evictions.conditions != self._known:
            self._known = evictions.conditions
            log.warning("the node's pressure has changed", conditions=sorted(self._known))
            await self._changed()

    async def _read(self) -> Readings:
        readings = self._sources.signals.read()
        controls = self._sources.controls
        return within(await controls.room() if controls is not None else None, readings)

    async def _carry_out(self, acts: Sequence[Act]) -> bool:
        """Do what was decided; tell whether disk space was freed."""
        for act in acts:
            if isinstance(act, PodFailed):
                log.warning("ending a pod", pod=act.uid, cause=act.message.strip())
                self._pods.decided(act)
            elif isinstance(act, PodHeld):
                log.warning("a pod is held back or let go", pod=act.uid, hold=act.hold.name, cause=act.message.strip())
                self._acts[act.hold] += 1
                self._pods.decided(act)
        freeing = any(isinstance(act, FreeDisk) for act in acts)
        for reclaim in self._sources.reclaim if freeing else ():
            try:
                await reclaim()
            except OSError as error:
                log.warning("disk space cannot be freed", cause=str(error))
        return freeing

    # --- measuring ------------------------------------------------------------------------------------------------

    async def _stats(self, evictions: Evictions, readings: Readings) -> list[PodStat]:
        """Return every pod that may have a process; what each uses only where that is going to matter."""
        near = evictions.is_near(readings)
        used = await self._containers() if near else {}
        holds = self._pods.holds()
        stats = []
        for pod, status in list(self._pods.statuses()):
            if status.get("phase") in statuses.TERMINAL or not status:
                continue
            uid = Uid(pod["metadata"]["uid"])
            measured = evictions.measures_disk or is_limited(pod)
            stats.append(
                PodStat(
                    pod,
                    hold=holds.get(uid, Hold.NONE),
                    containers=_container_stats(pod, used.get(uid, ())),
                    pids=await self._pids(uid) if near else 0,
                    disk=await self._disk(pod, status) if measured else None,
                    sla=tier_of(pod) or "",
                    ending=bool(status.get("reason")),
                )
            )
        return stats

    async def _containers(self) -> Mapping[Uid, Sequence[ContainerUsage]]:
        found: dict[Uid, list[ContainerUsage]] = defaultdict(list)
        for source in self._sources.usage:
            try:
                for each in (await source.usage()).containers:
                    found[each.pod].append(each)
            except OSError as error:
                log.warning("a runtime's pods cannot be measured", cause=str(error))
        return found

    async def _pids(self, uid: Uid) -> int:
        use = await self._sources.controls.usage(uid) if self._sources.controls is not None else None
        return 0 if use is None else use.pids

    async def _disk(self, pod: Body, status: Body) -> DiskUse:
        """Return what a pod has on disk: its volumes, and its containers' logs where they are files."""
        storage = self._sources.storage
        volumes = {} if storage is None else await storage.usage(pod)
        logs = await asyncio.to_thread(_logs_of, pod, status, self._sources.runtimes)
        on_disk = [each for each in volumes.values() if not each.in_memory]
        return DiskUse(
            sum(each.size_bytes for each in on_disk) + sum(logs.values()),
            sum(each.inodes for each in on_disk) + len(logs),
            {name: each.size_bytes for name, each in volumes.items()},
            logs,
        )

    # --- for people -----------------------------------------------------------------------------------------------

    def families(self) -> Iterator[Family]:
        """Yield what was done, for the device's Prometheus endpoint."""
        evicted = self._evictions.evicted if self._evictions is not None else {}
        holds = Counter(self._pods.holds().values())
        yield Family(
            "aiokubeedge_edge_evictions_total",
            "Pods ended because the node ran short of a resource, or they held more than they may.",
            [({"resource": resource}, float(count)) for resource, count in sorted(evicted.items())],
            "counter",
        )
        yield Family(
            "aiokubeedge_edge_sla_acts_total",
            "Times that a pod of the low SLA tier was throttled, paused, or let go.",
            [({"hold": hold.name.lower()}, float(self._acts[hold])) for hold in Hold],
            "counter",
        )
        yield Family(
            "aiokubeedge_edge_held_pods",
            "Pods that are throttled or paused now.",
            [({"hold": hold.name.lower()}, float(holds[hold])) for hold in (Hold.THROTTLED, Hold.PAUSED)],
        )
        yield Family(
            "aiokubeedge_edge_node_pressure",
            "Whether the node has the condition.",
            [({"condition": kind}, float(kind in self._known)) for kind in PRESSURES],
        )


def _container_stats(pod: Body, used: Iterable[ContainerUsage]) -> tuple[ContainerStat, ...]:
    specs = {each["name"]: each for part in ("initContainers", "containers") for each in pod["spec"].get(part) or ()}
    return tuple(ContainerStat(each.name, each.memory_bytes, memory_request(specs.get(each.name, {}))) for each in used)


def _logs_of(pod: Body, status: Body, runtimes: Sequence[Runtime]) -> dict[str, int]:
    """Return the size of each container's present log."""
    sizes: dict[str, int] = {}
    for each in status.get("containerStatuses") or ():
        container = ContainerId(Uid(pod["metadata"]["uid"]), each["name"], int(each.get("restartCount") or 0))
        paths = [path for runtime in runtimes if (path := runtime.log_path(container)) is not None]
        sizes[each["name"]] = sum(_size(path) for path in paths)
    return sizes


def _size(path: Path) -> int:
    """Return what a log takes, with the files it was rotated to."""
    total = 0
    try:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                if entry.name.startswith(path.name):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return total
    return total
