"""Followed versions as OpenTelemetry spans, sent to a collector over OTLP/HTTP. Needs the extra ``otel``.

Contract. Spans are made on the event loop from times that are long past; they are encoded and sent by the SDK's own
thread, out of a queue of :data:`QUEUE` spans that drops the newest when it is full. A collector that is away costs
nothing but those spans, and one warning in :data:`COMPLAIN_EVERY_S`.

One trace per version: the root span lasts from the commit to the last acknowledgement; below it are ``commit`` (until
the first node's outbox had it) and one span per node, below which are ``dispatch`` (waiting in the outbox),
``delivery``, ``apply`` and ``ack``.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any, Final

import structlog

from cloudcore.clock import Clock
from cloudcore.hub.tracing import NodeTrace, Tracing, VersionTrace
from protocol.errors import UsageError
from protocol.objects.resources import PODS
from protocol.urls import fault_of_url

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Span, Tracer

log = structlog.get_logger(__name__)

ENVIRONMENT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""OpenTelemetry's own variable; a setting goes before it."""
PATH: Final = "/v1/traces"
QUEUE: Final = 4096
SEND_EVERY_S: Final = 2.0
TIMEOUT_S: Final = 5.0
COMPLAIN_EVERY_S: Final = 60.0

_STEPS: Final = (
    ("dispatch", "dispatched_at", "sent_at"),
    ("delivery", "sent_at", "received_at"),
    ("apply", "received_at", "applied_at"),
    ("ack", "applied_at", "acked_at"),
)
_UNTOLD: Final = (("dispatch", "dispatched_at", "sent_at"), ("delivery", "sent_at", "acked_at"))
"""The steps of a node that told no times: delivery then lasts until the acknowledgement."""


def endpoint_of(setting: str) -> str:
    """Return where to send spans; empty for nowhere.

    Raises:
        UsageError: They are to be sent, and what sends them is not installed.
    """
    wanted = setting or os.environ.get(ENVIRONMENT, "")
    if not wanted:
        return ""
    if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec("opentelemetry.exporter") is None:
        missing = "sending traces needs the extra 'otel': pip install 'aiokubeedge[cloud,otel]'"
        if setting:
            raise UsageError(missing)
        log.warning("traces are not sent", cause=missing, asked_by=ENVIRONMENT)
        return ""
    if (fault := fault_of_url(wanted)) is not None:
        # The setting was checked when it was read.
        log.warning("traces are not sent", cause=fault, asked_by=ENVIRONMENT, endpoint=wanted)
        return ""
    return wanted if wanted.endswith(PATH) else wanted.rstrip("/") + PATH


def send_spans(tracing: Tracing, setting: str, clock: Clock) -> SpanSender | None:
    """Have the versions that ``tracing`` has followed sent to a collector; None where none is asked for.

    Args:
        tracing: Hands the versions out.
        setting: The collector's URL; empty takes the environment's.
        clock: Both clocks, to turn one's times into the other's.

    Raises:
        UsageError: What sends them is not installed.
    """
    endpoint = endpoint_of(setting)
    if not endpoint:
        return None
    sender = SpanSender(
        endpoint, installed("aiokubeedge"), lambda at: clock.wall() - (clock.monotonic() - at), flush=tracing.flush
    )
    tracing.on_finished = sender.take
    return sender


class SpanSender:
    """Makes spans of followed versions and has them sent.

    Args:
        endpoint: The collector's URL, path included.
        version: This project's version.
        wall_of: Turns a time on the hub's monotonic clock into seconds since the epoch.
        flush: Hands out what has not been; called before the end.
        send_every_s: How long spans gather, seconds.
    """

    def __init__(
        self,
        endpoint: str,
        version: str,
        wall_of: Callable[[float], float],
        *,
        flush: Callable[[], None] = lambda: None,
        send_every_s: float = SEND_EVERY_S,
    ) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would complain at every attempt
        resource = Resource.create({"service.name": "cloudcore", "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = _complaining(OTLPSpanExporter(endpoint=endpoint, timeout=TIMEOUT_S), endpoint)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=QUEUE, schedule_delay_millis=send_every_s * 1000)
        )
        self._tracer: Tracer = self._provider.get_tracer("aiokubeedge.link", version)
        self._wall_of = wall_of
        self._flush = flush

    def take(self, version: VersionTrace) -> None:
        """Make the spans of one version; a node that has not settled it has those of the steps it has taken."""
        begun = version.begun_at if version.committed_at is None else version.committed_at
        nodes = list(version.nodes.values())
        if not nodes:
            return
        ended = max(_last(node) for node in nodes)
        root = self._start(f"{version.op.name.lower()} {version.key.resource}", None, begun, _attributes(version))
        if version.committed_at is not None:
            first = min(node.dispatched_at for node in nodes)
            self._finish(self._start("commit", root, begun), first)
        for node in nodes:
            self._take_node(root, node)
        self._finish(root, ended)

    def close(self) -> None:
        """Send what is left and end the thread. Blocks for a few seconds at most."""
        self._flush()
        self._provider.shutdown()

    def _take_node(self, root: Span, node: NodeTrace) -> None:
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an extra

        attributes: dict[str, Any] = {"k8s.node.name": node.node, "aiokubeedge.sends": node.sends}
        attributes["aiokubeedge.outcome"] = node.outcome or "pending"
        if node.uncertainty_s is not None:
            attributes["aiokubeedge.uncertainty_s"] = node.uncertainty_s
        parent = self._start("node", root, node.dispatched_at, attributes)
        for name, begin, end in _STEPS if node.received_at is not None else _UNTOLD:
            begun, ended = getattr(node, begin), getattr(node, end)
            if begun is not None and ended is not None:
                self._finish(self._start(name, parent, begun), ended)
        if node.outcome == "rejected":
            parent.set_status(Status(StatusCode.ERROR, node.reason))
        self._finish(parent, _last(node))

    def _start(self, name: str, parent: Span | None, at: float, attributes: Mapping[str, Any] | None = None) -> Span:
        from opentelemetry.context import Context  # noqa: PLC0415 - an extra
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415

        context = Context() if parent is None else set_span_in_context(parent, Context())
        return self._tracer.start_span(name, context, attributes=attributes, start_time=self._ns(at))

    def _finish(self, span: Span, at: float) -> None:
        span.end(end_time=self._ns(at))

    def _ns(self, at: float) -> int:
        return round(self._wall_of(at) * 1e9)


def _last(node: NodeTrace) -> float:
    """Return the time of the last step that is known."""
    times = (node.dispatched_at, node.sent_at, node.acked_at)
    return max(time for time in times if time is not None)


def _attributes(version: VersionTrace) -> dict[str, Any]:
    key = version.key
    attributes: dict[str, Any] = {
        "aiokubeedge.object.resource": key.resource,
        "aiokubeedge.object.name": key.name,
        "aiokubeedge.object.uid": version.uid,
        "aiokubeedge.object.version": str(version.version),
        "aiokubeedge.operation": version.op.name.lower(),
        "aiokubeedge.nodes": len(version.nodes) + version.more_nodes,
        "aiokubeedge.sampled": version.sampled,
    }
    if key.namespace:
        attributes["k8s.namespace.name"] = key.namespace
    if key.resource == PODS:
        attributes |= {"k8s.pod.name": key.name, "k8s.pod.uid": version.uid}
    return attributes


def _complaining(exporter: SpanExporter, endpoint: str) -> SpanExporter:
    """Return an exporter that sends as ``exporter`` does, and says that it cannot now and then only."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415 - an extra

    class Complaining(SpanExporter):
        """Runs on the SDK's thread."""

        def __init__(self) -> None:
            self._complained_at = float("-inf")
            self._lost = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = exporter.export(spans)
            if result is not SpanExportResult.SUCCESS:
                self._complain(len(spans))
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return exporter.force_flush(timeout_millis)

        def _complain(self, lost: int) -> None:
            self._lost += lost
            now = time.monotonic()
            if now - self._complained_at >= COMPLAIN_EVERY_S:
                log.warning("traces not sent", endpoint=endpoint, spans_lost=self._lost)
                self._complained_at, self._lost = now, 0

    return Complaining()
