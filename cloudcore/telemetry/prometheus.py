"""Prometheus metrics: read from the parts when somebody scrapes, so that counting costs the parts nothing.

Each part keeps plain numbers; the composition root names them here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Reading = float | Mapping[str, float]
"""One number, or one for each value of the metric's label."""


@dataclass(frozen=True, slots=True)
class Metered:
    """One metric: where its number comes from.

    Attributes:
        name: Without the ``aiokubeedge_`` prefix and, for counters, without ``_total``.
        help: One sentence.
        read: Returns the present reading; called on the event loop at each scrape, must be quick.
        label: Name of the label when ``read`` returns a mapping.
        type: ``gauge`` or ``counter``.
    """

    name: str
    help: str
    read: Callable[[], Reading]
    label: str = ""
    type: Literal["gauge", "counter"] = "gauge"


@dataclass(eq=False, slots=True)
class Metrics(Collector):
    """All metrics of one daemon."""

    metered: list[Metered] = field(default_factory=list)

    def gauge(self, name: str, text: str, read: Callable[[], Reading], *, label: str = "") -> None:
        """Add a number that goes up and down."""
        self.metered.append(Metered(name, text, read, label))

    def counter(self, name: str, text: str, read: Callable[[], Reading], *, label: str = "") -> None:
        """Add a number that only grows while the process lives."""
        self.metered.append(Metered(name, text, read, label, "counter"))

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each metric; prometheus-client calls this at each scrape."""
        for item in self.metered:
            kind = CounterMetricFamily if item.type == "counter" else GaugeMetricFamily
            family = kind(f"aiokubeedge_{item.name}", item.help, labels=[item.label] if item.label else [])
            reading = item.read()
            for label, value in reading.items() if isinstance(reading, Mapping) else [("", reading)]:
                family.add_metric([label] if item.label else [], value)
            yield family

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        return generate_latest(registry)


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
