"""Which numbers of the cloud's parts are metrics, and what they are called."""

from __future__ import annotations

from typing import Protocol

from cloudcore.controllers.manager import ControllerManager
from cloudcore.events import EventRecorder
from cloudcore.hub.figures import LinkFigures, by_lane
from cloudcore.hub.hub import Hub
from cloudcore.scheduler import Scheduler
from cloudcore.security.enrolment import EnrolmentServer
from cloudcore.store.base import Store
from cloudcore.telemetry.looplag import LoopLag
from cloudcore.telemetry.prometheus import Metrics
from protocol.measures import LinkMeasures
from protocol.messages import Lane


class Linked(Protocol):
    """The parts that are measured of every cloud."""

    enrolment: EnrolmentServer
    figures: LinkFigures
    hub: Hub
    loop_lag: LoopLag
    recorder: EventRecorder

    @property
    def store(self) -> Store:
        """Holds everything."""


class Measured(Linked, Protocol):
    """The parts that are measured of a cloud that is a whole control plane."""

    controllers: ControllerManager
    scheduler: Scheduler


def hub_metrics_of(cloud: Linked) -> Metrics:
    """Name what ``/metrics`` shows of every cloud."""
    metrics, hub = Metrics(), cloud.hub
    metrics.gauge("nodes_connected", "Nodes with an open session.", lambda: len(hub.sessions))
    _name_links(metrics, cloud.figures, hub.measures)
    metrics.counter("hub_events", "What happened at the hub.", lambda: dict(hub.counters), label="event")
    metrics.gauge("store_revision", "Newest revision that is known.", lambda: cloud.store.revision)
    metrics.counter("leases_renewed", "Leases written for heartbeats.", lambda: hub.leases.renewals_total)
    metrics.counter("events_dropped", "Events not written: queue full or spam.", lambda: cloud.recorder.dropped)
    metrics.counter("nodes_joined", "Enrolments granted.", lambda: cloud.enrolment.joined_total)
    metrics.counter("enrolments_refused", "Enrolments refused.", lambda: cloud.enrolment.refused_total)
    metrics.gauge("loop_lag_seconds", "How late the event loop ran, worst of a minute.", lambda: cloud.loop_lag.worst_s)
    return metrics


def metrics_of(cloud: Measured) -> Metrics:
    """Name everything that ``/metrics`` shows of a cloud that is a whole control plane."""
    metrics, controllers = hub_metrics_of(cloud), cloud.controllers
    metrics.gauge("scheduler_active_pods", "Pods waiting to be tried.", lambda: cloud.scheduler.active_count)
    metrics.counter(
        "controller_reconciles",
        "Reconciliations that succeeded.",
        lambda: {name: part.counters.reconciled for name, part in controllers.controllers.items()},
        label="controller",
    )
    metrics.counter(
        "controller_failures",
        "Reconciliations that failed and were put back.",
        lambda: {name: part.counters.failed for name, part in controllers.controllers.items()},
        label="controller",
    )
    metrics.counter(
        "controller_conflicts",
        "Reconciliations begun again at once because another writer was faster.",
        lambda: {name: part.counters.conflicts for name, part in controllers.controllers.items()},
        label="controller",
    )
    metrics.counter(
        "controller_throttles",
        "Reconciliations put off because the API asked for it.",
        lambda: {name: part.counters.throttled for name, part in controllers.controllers.items()},
        label="controller",
    )
    return metrics


def _name_links(metrics: Metrics, figures: LinkFigures, measures: LinkMeasures) -> None:
    """Name what is known of all links together; docs/observability.md says what each means."""
    lanes = dict.fromkeys((lane.name.lower() for lane in Lane), 0.0)
    metrics.gauge("outbox_items", "Objects owed to connected nodes.", lambda: figures.now.owed)
    metrics.gauge("nodes_by_sync", "Connected nodes by sync state.", lambda: figures.now.nodes, label="state")
    metrics.gauge("link_lane_depth", "Objects queued for nodes.", lambda: lanes | figures.now.queued, label="lane")
    metrics.gauge(
        "link_in_flight_items", "Items sent and not settled.", lambda: lanes | figures.now.in_flight, label="lane"
    )
    metrics.gauge(
        "link_lane_oldest_seconds", "Age of the oldest change owed.", lambda: lanes | figures.now.oldest_s, label="lane"
    )
    metrics.counter("link_bytes", "Bytes of frames.", lambda: figures.now.traffic, labels=("direction", "lane", "kind"))
    metrics.counter("link_resent_frames", "Frames sent again.", lambda: by_lane(measures.resent), label="lane")
    metrics.counter("link_put_off_items", "Items answered later.", lambda: by_lane(measures.put_off), label="lane")
    metrics.histogram("link_rtt_seconds", "Round-trip times, as pings measure them.", lambda: measures.round_trips)
    metrics.histogram(
        "link_ack_seconds",
        "From sending a frame to its settlement.",
        lambda: {lane.name.lower(): acks for lane, acks in zip(Lane, measures.acks, strict=True)},
        label="lane",
    )
