"""What pods use, from what runtimes and the pods' own endpoints have counted. Performs no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from edgecore.metrics.exposition import Summary
from edgecore.metrics.usage import ContainerUsage, PodNetwork, Usage
from edgecore.metrics.windows import Rates
from protocol.objects.keys import Uid
from protocol.samples import Metric, reading_field

STALE_S: Final = 60.0
"""What an endpoint told is no longer so after that time without an answer."""


@dataclass(slots=True)
class _Told:
    """What a pod's endpoint told last."""

    at: float
    summary: Summary


@dataclass(slots=True)
class PodMeter:
    """Keeps the present use of every pod.

    Attributes:
        containers: Running instances as of the last look.
        networks: Pods with a network of their own, as of the last look.
    """

    containers: list[ContainerUsage] = field(default_factory=list)
    networks: list[PodNetwork] = field(default_factory=list)
    _cpu: Rates[tuple[Uid, str, str]] = field(default_factory=Rates)
    _traffic: Rates[tuple[Uid, Metric]] = field(default_factory=Rates)
    _requests: Rates[Uid] = field(default_factory=Rates)
    _cpu_rates: dict[tuple[Uid, str, str], float] = field(default_factory=dict)
    _traffic_rates: dict[tuple[Uid, Metric], float] = field(default_factory=dict)
    _request_rates: dict[Uid, float] = field(default_factory=dict)
    _told: dict[Uid, _Told] = field(default_factory=dict)

    def take_usage(self, usages: Iterable[Usage], now: float) -> None:
        """Take in what all runtimes measured at ``now``, seconds on a monotonic clock."""
        usages = list(usages)
        self.containers = [each for usage in usages for each in usage.containers]
        self.networks = [each for usage in usages for each in usage.networks]
        self._cpu_rates = self._cpu.update({_instance(each): each.cpu_s for each in self.containers}, now)
        counters = {(each.pod, Metric.RECEIVED): float(each.received_bytes) for each in self.networks}
        counters |= {(each.pod, Metric.SENT): float(each.sent_bytes) for each in self.networks}
        self._traffic_rates = self._traffic.update(counters, now)

    def take_summaries(self, offering: Iterable[Uid], answers: Mapping[Uid, Summary], now: float) -> None:
        """Take in what endpoints told.

        Args:
            offering: All pods with an endpoint; others are forgotten.
            answers: Those that answered now.
            now: Seconds on a monotonic clock.
        """
        kept = {uid: self._told[uid] for uid in offering if uid in self._told and now - self._told[uid].at < STALE_S}
        self._told = kept | {uid: _Told(now, summary) for uid, summary in answers.items()}
        counted = {uid: each.requests for uid, each in answers.items() if each.requests is not None}
        # A pod that has not answered this time has counted on: its window ends with its next answer.
        self._request_rates = self._requests.update(counted, now, waiting=kept.keys() - answers.keys())

    @property
    def requests_s(self) -> float:
        """Requests that all pods answer, per second."""
        return sum(self._request_rates.values())

    def readings(self) -> dict[int, int]:
        """Return all readings by their field numbers.

        Where two share a number by chance (one in some hundred thousand full nodes), the first one is told.
        """
        readings: dict[int, int] = {}
        owners: dict[int, tuple[Uid, str]] = {}
        for uid, container, metric, value in self._values():
            number = reading_field(uid, container, metric)
            if owners.setdefault(number >> 3, (uid, container)) == (uid, container):
                readings[number] = round(value)
        return readings

    def _values(self) -> Iterator[tuple[Uid, str, Metric, float]]:
        for each in self.containers:
            rate = self._cpu_rates.get(_instance(each))
            if rate is not None:
                yield each.pod, each.name, Metric.CPU, rate * 1000
                yield each.pod, each.name, Metric.MEMORY, each.memory_bytes / 1024
        for (uid, metric), rate in self._traffic_rates.items():
            yield uid, "", metric, rate
        for uid, rate in self._request_rates.items():
            yield uid, "", Metric.REQUESTS, rate * 1000
        for uid, told in self._told.items():
            if told.summary.gpu is not None:
                yield uid, "", Metric.GPU, told.summary.gpu * 1000


def _instance(usage: ContainerUsage) -> tuple[Uid, str, str]:
    return usage.pod, usage.name, usage.instance
