"""Looks at the pods every ten seconds and keeps what they use for whoever asks.

One task, :meth:`PodSampling.run`, owns all of it: it asks the runtimes, then the pods' endpoints, then rests. What it
keeps is replaced as a whole, so that readers on the event loop need no lock. Nothing is written to disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from edgecore.metrics.endpoints import Endpoint, endpoint_of
from edgecore.metrics.podmeter import PodMeter
from edgecore.metrics.scraper import Scraper
from edgecore.metrics.usage import Usage, UsageSource
from protocol.objects.keys import Body, Uid

log = structlog.get_logger("edgecore.metrics")

EVERY_S: Final = 10.0
LOOPBACK: Final = "127.0.0.1"
"""Where a pod that shares the host's network is reached."""


class PodSampling:
    """Measures the pods of this node.

    Args:
        pods: Returns the pods that should run here.
        sources: What measures them, one per runtime.

    Attributes:
        meter: What was measured.
        readings: What heartbeats tell of it, by field number.
    """

    def __init__(self, pods: Callable[[], Iterable[Body]], sources: Sequence[UsageSource]) -> None:
        self._pods = pods
        self._sources = sources
        self._scraper = Scraper()
        self.meter = PodMeter()
        self.readings: dict[int, int] = {}

    async def run(self) -> None:
        """Look again and again until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            await self.look(began)
            await asyncio.sleep(max(1.0, EVERY_S - (clock() - began)))

    async def look(self, now: float) -> None:
        """Measure once, at ``now`` seconds on a monotonic clock."""
        self.meter.take_usage([await _asked(source) for source in self._sources], now)
        targets = self._targets()
        answers = await self._scraper.scrape(targets, now) if targets else {}
        self.meter.take_summaries(targets, answers, now)
        self.readings = self.meter.readings()

    def _targets(self) -> dict[Uid, tuple[str, Endpoint]]:
        """Return host and endpoint of each pod that runs and offers metrics."""
        running = {each.pod for each in self.meter.containers}
        if not running:
            return {}
        addresses = {each.pod: each.address for each in self.meter.networks}
        targets = {}
        for pod in self._pods():
            uid = Uid(pod["metadata"]["uid"])
            endpoint = endpoint_of(pod) if uid in running else None
            if endpoint is not None:
                targets[uid] = addresses.get(uid, LOOPBACK), endpoint
        return targets


async def _asked(source: UsageSource) -> Usage:
    try:
        return await source.usage()
    except OSError as error:
        log.warning("a runtime's pods cannot be measured", cause=str(error))
        return Usage()
