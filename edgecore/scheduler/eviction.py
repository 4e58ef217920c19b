"""What is done when the node runs short: which pods are held back, which is ended, and whether new ones may come.

Sans-IO. At each look it is given what there is and what each pod uses, and answers with decisions for the pods machine.
Node-level means come before pods: for disk, images and dead containers are removed first. One pod is ended at a time,
and its end waited for, so that no more end than must.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edgecore.pods.events import PodFailed, PodHeld
from edgecore.pods.holds import Hold
from edgecore.scheduler.ladder import Ladder
from edgecore.scheduler.locallimits import breach
from edgecore.scheduler.ranking import PodStat, disk_request, is_critical, ranked
from edgecore.scheduler.shortage import Readings, Shortages
from edgecore.thresholds import (
    DISK_PRESSURE,
    MEMORY_PRESSURE,
    EvictionSettings,
    Signal,
    Threshold,
)
from protocol.objects.keys import Body, Uid
from protocol.objects.qos import qos_class

EVICTED: Final = "Evicted"
CALM_LOOK_S: Final = 10.0
URGENT_LOOK_S: Final = 1.0
NEAR: Final = 3.0
"""Where less is left than so many times a threshold, looks are frequent."""
FORESIGHT_S: Final = 20.0
"""They are, too, where at the present pace a threshold would be met within so many seconds."""
CLEANUP_S: Final = 30.0
"""An ended pod is waited for this long beyond its grace period before the next one is."""
RECLAIM_EVERY_S: Final = 30.0
LOW: Final = "low"


@dataclass(frozen=True, slots=True)
class FreeDisk:
    """Remove what nobody uses: images, dead containers; then look again at once."""

    signal: Signal


Act = PodFailed | PodHeld | FreeDisk


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A pod that was ended, and when to stop waiting for it."""

    uid: Uid
    until: float


class Evictions:
    """Decides what is done when the node runs short. Performs no I/O and reads no clock.

    Args:
        settings: When it is short.
        conditions: Node conditions that an earlier agent left standing.
        now: Monotonic seconds.

    Attributes:
        evicted: Pods ended so far, by what there was too little of.
    """

    def __init__(self, settings: EvictionSettings, conditions: Iterable[str] = (), now: float = 0.0) -> None:
        self._settings = settings
        self._shortages = Shortages(settings, conditions, now)
        self._ladder = Ladder()
        self._leaving: _Leaving | None = None
        self._reclaimed_at: dict[Signal, float] = {}
        self._nearness: tuple[float, float] | None = None
        self._urgent = False
        self._seen: frozenset[Uid] = frozenset()
        self.evicted: dict[str, int] = {}

    @property
    def conditions(self) -> frozenset[str]:
        """The node conditions that hold."""
        return self._shortages.conditions

    @property
    def level(self) -> Hold:
        """How far pods of the low tier are held back."""
        return self._ladder.level

    @property
    def measures_disk(self) -> bool:
        """Whether the next look needs to know what every pod has on disk."""
        return any(signal.condition == DISK_PRESSURE for signal in self._shortages.met)

    def is_near(self, readings: Readings) -> bool:
        """Tell whether it matters what memory and processes each pod uses: a threshold of theirs is met, or near.

        A disk that is rather full, as many are for good, does not make that matter, and measuring it costs.
        """
        theirs = {signal: each for signal, each in readings.items() if signal.condition != DISK_PRESSURE}
        return self._shortages.nearness(theirs) < NEAR or self._shortages.meets(theirs)

    def next_look_s(self) -> float:
        """Return after how many seconds to look again."""
        return URGENT_LOOK_S if self._urgent else CALM_LOOK_S

    def look(self, readings: Readings, pods: Sequence[PodStat], now: float) -> list[Act]:
        """Return what is to be done.

        Args:
            readings: What there is.
            pods: Every pod that has a process, those on their way out included.
            now: Monotonic seconds.
        """
        # What an earlier agent held back comes in sight only once the pods have been taken up.
        inherited = [each.hold for each in pods if _is_low(each) and each.uid not in self._seen]
        self._seen = frozenset(each.uid for each in pods)
        self._ladder.level = max([self._ladder.level, *inherited])
        counting = self._shortages.observe(readings, now)
        nearness = self._shortages.nearness(readings)
        acts: list[Act] = list(self._hold(nearness, pods, now, short=bool(counting), cause=_cause(counting, nearness)))
        present = {each.uid for each in pods}
        if self._leaving is not None and (self._leaving.uid not in present or now >= self._leaving.until):
            self._leaving = None
        acts += self._end(counting, readings, pods, now)
        self._urgent = self._is_urgent(nearness, now)
        return acts

    def _is_urgent(self, nearness: float, now: float) -> bool:
        before, self._nearness = self._nearness, (nearness, now)
        if nearness < NEAR or self._shortages.met or self._leaving is not None or self._ladder.level is not Hold.NONE:
            return True
        if before is None or now <= before[1] or nearness == float("inf"):
            return False
        pace = (before[0] - nearness) / (now - before[1])
        return pace > 0 and (nearness - 1) / pace < FORESIGHT_S

    # --- holding back ---------------------------------------------------------------------------------------------

    def _hold(
        self, nearness: float, pods: Sequence[PodStat], now: float, *, short: bool, cause: str
    ) -> Iterable[PodHeld]:
        passed = self._ladder.observe(nearness, now, short=short)
        for stat in pods:
            if not _is_low(stat):
                continue
            steps = [level for level in passed if level > stat.hold] or [self._ladder.level]
            yield from (PodHeld(stat.uid, level, cause) for level in steps if level is not stat.hold)

    # --- ending ---------------------------------------------------------------------------------------------------

    def _end(self, counting: list[Threshold], readings: Readings, pods: Sequence[PodStat], now: float) -> list[Act]:
        mine = [stat for stat in pods if not stat.ending and not is_critical(stat.pod)]
        breaches = [(stat, message) for stat in mine if (message := breach(stat))]
        if breaches:
            return [self._evict(stat, message, "ephemeral-storage", 0.0) for stat, message in breaches]
        if self._leaving is not None:
            return []
        for threshold in counting:
            acts = self._end_for(threshold, readings, pods, now)
            if acts:
                return acts
        return []

    def _end_for(self, threshold: Threshold, readings: Readings, pods: Sequence[PodStat], now: float) -> list[Act]:
        signal = threshold.signal
        if signal.condition == DISK_PRESSURE:
            if now - self._reclaimed_at.get(signal, float("-inf")) >= RECLAIM_EVERY_S:
                self._reclaimed_at[signal] = now
                return [FreeDisk(signal)]
            if any(stat.disk is None for stat in pods):
                return []  # They are measured for the next look.
        victims = ranked(signal, pods)
        if not victims:
            return []
        victim = victims[0]
        if _is_low(victim) and victim.hold is not Hold.PAUSED:
            return []  # Paused first, beside this; where that is not enough, it ends with the next look.
        grace_s = self._settings.max_grace_s if threshold.soft else 0.0
        self._leaving = _Leaving(victim.uid, now + grace_s + CLEANUP_S)
        return [self._evict(victim, _message(threshold, readings, victim), signal.resource, grace_s, disruption=True)]

    def _evict(
        self, stat: PodStat, message: str, resource: str, grace_s: float, *, disruption: bool = False
    ) -> PodFailed:
        self.evicted[resource] = self.evicted.get(resource, 0) + 1
        return PodFailed(stat.uid, EVICTED, message, grace_s, disruption)


def refusal(pod: Body, conditions: frozenset[str]) -> str:
    """Return why a pod may not begin while the node has these conditions, in the kubelet's words; or nothing.

    Memory pressure keeps BestEffort pods out that do not tolerate it; any other keeps out all but critical pods.
    """
    if not conditions or is_critical(pod):
        return ""
    if conditions == {MEMORY_PRESSURE} and (qos_class(pod) != "BestEffort" or _tolerates_memory_pressure(pod)):
        return ""
    return f"The node had condition: [{' '.join(sorted(conditions))}]. "


def _tolerates_memory_pressure(pod: Body) -> bool:
    return any(
        toleration.get("key") in (None, "", "node.kubernetes.io/memory-pressure")
        and toleration.get("effect") in (None, "", "NoSchedule")
        and (toleration.get("operator") == "Exists" or (toleration.get("key") and not toleration.get("value")))
        for toleration in pod["spec"].get("tolerations") or ()
    )


def _is_low(stat: PodStat) -> bool:
    return stat.sla == LOW and not stat.ending and not is_critical(stat.pod)


def _cause(counting: list[Threshold], nearness: float) -> str:
    if counting:
        return f"The node is low on resource: {counting[0].signal.resource}. "
    if nearness == float("inf"):
        return "The node is not short of anything. "
    return f"The node has {nearness:.2f} times what it would evict pods at. "


def _message(threshold: Threshold, readings: Readings, victim: PodStat) -> str:
    signal, reading = threshold.signal, readings[threshold.signal]
    least = threshold.amount.of(reading.capacity)
    text = (
        f"The node was low on resource: {signal.resource}. "
        f"Threshold quantity: {_text(signal, least)}, available: {_text(signal, reading.available)}. "
    )
    for name, used, requested in _consumers(signal, victim):
        if used > requested:
            text += (
                f"Container {name} was using {_text(signal, used)}, request is {_text(signal, requested)}, "
                f"has larger consumption of {signal.resource}. "
            )
    return text


def _consumers(signal: Signal, victim: PodStat) -> Iterable[tuple[str, int, int]]:
    if signal is Signal.MEMORY:
        return [(each.name, each.memory_bytes, each.memory_request_bytes) for each in victim.containers]
    if signal in (Signal.NODEFS, Signal.IMAGEFS) and victim.disk is not None:
        containers = {each["name"]: each for each in victim.pod["spec"]["containers"]}
        return [
            (name, used, disk_request({"spec": {"containers": [containers[name]]}}))
            for name, used in victim.disk.containers.items()
            if name in containers
        ]
    return []


def _text(signal: Signal, amount: int) -> str:
    """Return an amount as Kubernetes writes it: bytes in the largest unit that divides them, at least KiB."""
    if signal in (Signal.PIDS, Signal.NODEFS_INODES):
        return str(amount)
    if not amount:
        return "0"
    for suffix, shift in (("Gi", 30), ("Mi", 20)):
        if amount % (1 << shift) == 0:
            return f"{amount >> shift}{suffix}"
    return f"{max(1, amount >> 10)}Ki"
