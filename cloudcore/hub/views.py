"""What the hub shows of nodes and links to whoever asks the API: objects that are computed and never stored."""

from __future__ import annotations

from collections.abc import Mapping

from cloudcore.clock import Clock
from cloudcore.hub.nodelinks import node_links
from cloudcore.hub.nodemetrics import node_metrics
from cloudcore.hub.podmetrics import pod_metrics
from cloudcore.hub.router import Router
from cloudcore.hub.samples import HubSamples
from cloudcore.hub.session import Session
from cloudcore.hub.syncview import Departure, Moment, View
from cloudcore.hub.traceview import armed_body, armed_trace, object_traces
from cloudcore.hub.tracing import Tracing
from cloudcore.hub.traffic import TrafficLedger
from protocol.objects.keys import Body, NodeName, ObjectKey
from protocol.objects.resources import NODES, PODS


class HubViews:
    """The objects of the kinds that only the hub knows.

    Args:
        router: Knows the slices.
        sessions: The open sessions, as they are at each call.
        departures: How the sessions of the nodes that are away ended.
        traffic: The nodes' bytes of the day.
        samples: What nodes and pods use.
        tracing: Follows versions.
        clock: Wall and monotonic time.
    """

    def __init__(
        self,
        router: Router,
        sessions: Mapping[NodeName, Session],
        departures: Mapping[NodeName, Departure],
        *,
        traffic: TrafficLedger,
        samples: HubSamples,
        tracing: Tracing,
        clock: Clock,
    ) -> None:
        self._router = router
        self._sessions = sessions
        self._sync = View(router, sessions, departures, traffic)
        self._samples = samples
        self._tracing = tracing
        self._clock = clock

    def node_links(self) -> list[Body]:
        """Return a NodeLink object for each Node, connected or not."""
        return node_links(self._router.records(NODES), self._sessions, self._clock.monotonic())

    def node_metrics(self) -> list[Body]:
        """Return a NodeMetrics object for each connected Node."""
        return node_metrics(self._router.records(NODES), self._sessions)

    def pod_metrics(self, namespace: str = "", name: str = "") -> list[Body]:
        """Return a PodMetrics object for each Pod that its node measures.

        Args:
            namespace: Of this namespace only; empty for all.
            name: Of this name only; empty for any.
        """
        told = {node for node, session in self._sessions.items() if session.readings}
        pods = [
            record
            for record in self._router.records(PODS)
            if namespace in {"", record.key.namespace}
            and name in {"", record.key.name}
            and self._router.node_of(record.key) in told
        ]
        return pod_metrics(pods, self._samples)

    def node_syncs(self) -> list[Body]:
        """Return a NodeSync object for each Node, connected or not; what is pending is counted, not listed."""
        now = self._now()
        return [self._sync.sync_of(node, now, detail=False) for node in self._router.records(NODES)]

    def node_sync(self, name: str) -> Body | None:
        """Return the NodeSync object of one Node, with what is pending; None where there is no such Node."""
        node = self._router.record(ObjectKey(NODES, "", name))
        return None if node is None else self._sync.sync_of(node, self._now(), detail=True)

    def object_traces(self) -> list[Body]:
        """Return an ObjectTrace object for each trace that is armed and each version that was sampled."""
        return object_traces(self._tracing, self._now())

    def arm_trace(self, body: Body) -> Body:
        """Follow the next versions of the object that an ObjectTrace names.

        Raises:
            Invalid: Its spec cannot be followed.
            TooManyRequests: As many traces as there may be are armed.
        """
        now = self._now()
        armed = armed_trace(body, now)
        self._tracing.arm(armed, now.monotonic)
        return armed_body(armed, now)

    def _now(self) -> Moment:
        return Moment(self._clock.wall(), self._clock.monotonic())
