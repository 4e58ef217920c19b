"""Prometheus metrics: read from the parts when somebody scrapes, so that counting costs the parts nothing.

Each part keeps plain numbers; the composition root names them here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Literal

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from protocol.measures import Histogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Reading = float | Mapping[str, float] | Mapping[tuple[str, str, str], float]
"""One number, or one for each value of the metric's label, or of its three labels."""


@dataclass(frozen=True, slots=True)
class Metered:
    """One metric: where its number comes from.

    Attributes:
        name: Without the ``aiokubeedge_`` prefix and, for counters, without ``_total``.
        help: One sentence.
        read: Returns the present reading; called on the event loop at each scrape, must be quick.
        label: Name of the label when ``read`` returns a mapping.
        type: ``gauge`` or ``counter``.
        labels: Names of the labels when ``read`` returns a mapping from tuples.
    """

    name: str
    help: str
    read: Callable[[], Reading]
    label: str = ""
    type: Literal["gauge", "counter"] = "gauge"
    labels: tuple[str, ...] = ()

    @property
    def label_names(self) -> list[str]:
        """The names of all labels."""
        return [self.label] if self.label else list(self.labels)


@dataclass(frozen=True, slots=True)
class MeteredHistogram:
    """One histogram, or one for each value of a label.

    Attributes:
        name: Without the ``aiokubeedge_`` prefix.
        help: One sentence.
        read: Returns the histogram, or one per value of the label.
        label: Name of the label when ``read`` returns a mapping.
    """

    name: str
    help: str
    read: Callable[[], Histogram | Mapping[str, Histogram]]
    label: str = ""


@dataclass(eq=False, slots=True)
class Metrics(Collector):
    """All metrics of one daemon."""

    metered: list[Metered] = field(default_factory=list)
    histograms: list[MeteredHistogram] = field(default_factory=list)

    def gauge(self, name: str, text: str, read: Callable[[], Reading], *, label: str = "") -> None:
        """Add a number that goes up and down."""
        self.metered.append(Metered(name, text, read, label))

    def counter(
        self, name: str, text: str, read: Callable[[], Reading], *, label: str = "", labels: tuple[str, ...] = ()
    ) -> None:
        """Add a number that only grows while the process lives."""
        self.metered.append(Metered(name, text, read, label, "counter", labels))

    def histogram(
        self, name: str, text: str, read: Callable[[], Histogram | Mapping[str, Histogram]], *, label: str = ""
    ) -> None:
        """Add a distribution."""
        self.histograms.append(MeteredHistogram(name, text, read, label))

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each metric; prometheus-client calls this at each scrape."""
        for item in self.metered:
            kind = CounterMetricFamily if item.type == "counter" else GaugeMetricFamily
            family = kind(f"aiokubeedge_{item.name}", item.help, labels=item.label_names)
            reading = item.read()
            if isinstance(reading, Mapping):
                for label, value in reading.items():
                    family.add_metric([label] if isinstance(label, str) else list(label), value)
            else:
                family.add_metric([], reading)
            yield family
        for distribution in self.histograms:
            yield _histogram_family(distribution)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        return generate_latest(registry)


def _histogram_family(item: MeteredHistogram) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"aiokubeedge_{item.name}", item.help, labels=[item.label] if item.label else [])
    reading = item.read()
    for label, histogram in reading.items() if isinstance(reading, Mapping) else [("", reading)]:
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        cumulated = list(zip(bounds, accumulate(map(float, histogram.counts)), strict=True))
        family.add_metric([label] if item.label else [], cumulated, histogram.total)
    return family


async def serve_metrics(metrics: Metrics, sock: socket.socket) -> None:
    """Serve ``GET /metrics`` on ``sock`` until cancelled."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, sock).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
