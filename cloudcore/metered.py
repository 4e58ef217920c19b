"""Which numbers of the cloud's parts are metrics, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cloudcore.controllers.manager import ControllerManager
from cloudcore.events import EventRecorder
from cloudcore.hub.hub import Hub
from cloudcore.scheduler import Scheduler
from cloudcore.security.enrolment import EnrolmentServer
from cloudcore.store.base import Store
from cloudcore.telemetry.looplag import LoopLag
from cloudcore.telemetry.prometheus import Metrics


class Measured(Protocol):
    """The parts that are measured."""

    controllers: ControllerManager
    enrolment: EnrolmentServer
    hub: Hub
    loop_lag: LoopLag
    recorder: EventRecorder
    scheduler: Scheduler
    store: Store


def metrics_of(cloud: Measured) -> Metrics:
    """Name everything that ``/metrics`` shows."""
    metrics = Metrics()
    hub, controllers = cloud.hub, cloud.controllers
    metrics.gauge("nodes_connected", "Nodes with an open session.", lambda: len(hub.sessions))
    metrics.gauge("outbox_items", "Items owed to connected nodes.", lambda: _owed(hub))
    metrics.gauge("link_in_flight_items", "Items sent and not settled.", lambda: _in_flight(hub))
    metrics.gauge("link_rtt_seconds", "Smoothed round-trip time.", lambda: _round_trips(hub), label="node")
    metrics.counter("hub_events", "What happened at the hub.", lambda: dict(hub.counters), label="event")
    metrics.gauge("store_revision", "Newest committed revision.", lambda: cloud.store.revision)
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
    metrics.counter("leases_renewed", "Leases written for heartbeats.", lambda: hub.leases.renewals_total)
    metrics.counter("events_dropped", "Events not written: queue full or spam.", lambda: cloud.recorder.dropped)
    metrics.counter("nodes_joined", "Enrolments granted.", lambda: cloud.enrolment.joined_total)
    metrics.counter("enrolments_refused", "Enrolments refused.", lambda: cloud.enrolment.refused_total)
    metrics.gauge("loop_lag_seconds", "How late the event loop ran, worst of a minute.", lambda: cloud.loop_lag.worst_s)
    return metrics


def _owed(hub: Hub) -> float:
    return sum(len(session.link.outbox) for session in hub.sessions.values())


def _in_flight(hub: Hub) -> float:
    return sum(session.link.in_flight for session in hub.sessions.values())


def _round_trips(hub: Hub) -> Mapping[str, float]:
    rtts = {name: session.rtt_s for name, session in hub.sessions.items()}
    return {name: rtt_s for name, rtt_s in rtts.items() if rtt_s is not None}
