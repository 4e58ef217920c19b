"""The composition root of a cloud beside a Kubernetes cluster: the hub and what belongs to it, and no API of its own.

The cluster's API server is the store, and its own controllers and scheduler do their work. What runs here is what
Kubernetes has nobody for: enrolment, the hub, the nodes' leases and statuses, tolerations of pods on edge nodes, and a
scheduler for the pods that ask for it. The last two are the work of one replica at a time; any replica takes any node.

Contract. One TaskGroup owns every long-running task; if one dies, the daemon ends with status 1. A server that cannot
be reached ends nothing: edges keep their sessions and their pods, what they report waits, and the copies go on from
where they were.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import uuid
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any, Final

import structlog

from cloudcore.client import Client
from cloudcore.clock import SystemClock
from cloudcore.config import Settings
from cloudcore.controllers.autonomy import AutonomyController
from cloudcore.controllers.runtime import Context, Controller
from cloudcore.errors import AlreadyExists, ApiError, Forbidden, NotFound, StorageUnavailable, Unauthorized
from cloudcore.events import EventRecorder
from cloudcore.hub.figures import LinkFigures
from cloudcore.hub.hub import Hub
from cloudcore.hub.server import HubServer
from cloudcore.hub.settings import HubSettings
from cloudcore.hub.upstream import PodServices
from cloudcore.informers import Informers, ReadYourWrites
from cloudcore.leadership import LeaderElection
from cloudcore.metered import hub_metrics_of
from cloudcore.place import Cluster, Place
from cloudcore.rest import RestClient
from cloudcore.scheduler import Scheduler
from cloudcore.security.enrolment import EnrolmentServer
from cloudcore.security.joining import Joining
from cloudcore.security.sharedca import share_authority
from cloudcore.spans import send_spans
from cloudcore.store.kubernetes import (
    NAMESPACE,
    ApiSession,
    InClusterAccess,
    KubeconfigAccess,
    KubernetesStore,
    SessionSettings,
)
from cloudcore.store.kubernetes.access import Access
from cloudcore.telemetry.looplag import LoopLag
from cloudcore.telemetry.prometheus import Metrics, serve_metrics
from protocol.backoff import RECONNECT, Backoff
from protocol.errors import UsageError
from protocol.objects.devices import DEVICE_MODELS, DEVICES
from protocol.objects.keys import Body, NodeName, ObjectKey
from protocol.objects.projections import SLICE_RESOURCES
from protocol.objects.resources import ACCOUNT_RULES, RUNTIME_CLASSES

log = structlog.get_logger(__name__)

SCHEDULER: Final = "aiokubeedge-scheduler"
"""``spec.schedulerName`` of the pods that are placed here and not by the cluster's scheduler."""


RESIGN_S: Final = 2.0
"""How long giving the leadership back may take: a cluster that is away finds out by itself."""


class Member:
    """The parts of one cloud beside a cluster, wired but not running.

    Args:
        store: The cluster's API server; the caller closes it after :meth:`run` has ended.
        heartbeats: A session for the renewal of leases, which must neither wait for other writes nor hold them up.
        settings: The resolved settings.
        place: Its folder, keys and listening sockets.
        resources: What of the cluster makes slices.
    """

    def __init__(
        self,
        store: KubernetesStore,
        heartbeats: ApiSession,
        settings: Settings,
        place: Place,
        *,
        resources: frozenset[str] = SLICE_RESOURCES,
    ) -> None:
        self._place = place
        self.clock = SystemClock()
        self.store = store
        self.client: Client = RestClient(store.session, discovery=store.discovery)
        self.informers = Informers(store)
        self.recorder = EventRecorder(self.client, self.clock, "cloudcore")
        self.hub = Hub(
            store,
            self.client,
            self.recorder.named("hub"),
            clock=self.clock,
            rng=Random(),
            settings=replace(HubSettings.of(settings), resources=resources),
            heartbeats=RestClient(heartbeats, discovery=store.discovery),
            services=PodServices(mint=self._mint),
        )
        self.enrolment = EnrolmentServer(
            Joining(self.client, place.authority, self.clock.wall, namespace=NAMESPACE),
            place.authority,
            hub_urls=place.hub_urls,
            clock=self.clock,
        )
        self.election = LeaderElection(
            self.client,
            self.clock,
            namespace=NAMESPACE,
            name="cloudcore",
            identity=f"{socket.gethostname()}_{uuid.uuid4()}",
            rng=Random(),
        )
        writes = ReadYourWrites(self.client, self.informers)
        context = Context(writes, self.informers, self.recorder, self.clock, Random())
        self._autonomy = AutonomyController(context)
        self._scheduler = self._new_scheduler()
        self.spans = send_spans(self.hub.tracing, settings.otlp_endpoint, self.clock)
        self.loop_lag = LoopLag()
        self.figures = LinkFigures(self.hub, self.clock.monotonic)
        self.metrics = self._metrics()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then drain and return."""
        await _ensure(self.client, RUNTIME_CLASSES, {"metadata": {"name": "process"}, "handler": "process"})
        edges = HubServer(self.hub, self._place.tls(ssl.CERT_REQUIRED))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name=name) for name, part in self._parts().items()]
            await self.informers.wait_synced()
            await self.hub.ready.wait()
            tasks += [group.create_task(part, name=name) for name, part in self._listeners().items()]
            await edges.start(self._place.sockets["ws_port"])
            self._place.announce(ready=True)
            log.info("cloudcore is ready", cluster=self._place.api_url, **self._place.ports)
            await stop.wait()
            log.info("draining")
            await self.hub.drain()
            await edges.stop()
            for task in tasks:
                task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(RESIGN_S):
                await self.election.resign()
        if self.spans is not None:
            await asyncio.to_thread(self.spans.close)
        log.info("stopped")

    def reload(self, settings: Settings) -> None:
        """Take over the settings that may change while the daemon runs."""
        self.hub.reload(settings.link.options.settings(), settings.link.daily_bytes)

    async def _mint(self, _node: NodeName, account: ObjectKey, body: Body) -> Body:
        """Have the cluster make a token; the hub has checked that it is for a pod of the node."""
        row = await self.store.discovery.of(account.resource)
        whole = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", **body}
        return await self.store.session.call("POST", row.path(account.namespace, account.name, "token"), whole)

    def _parts(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        return {
            "informers": self.informers.run(),
            "events": self.recorder.run(),
            "hub": self.hub.run(),
            "leader": self.election.run(self._lead),
            "loop lag": self.loop_lag.run(),
            "link figures": self.figures.run(),
        }

    def _listeners(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        sockets = self._place.sockets
        return {
            "enrolment": self.enrolment.run(sockets["enrol_port"], self._place.tls(ssl.CERT_NONE)),
            "metrics": serve_metrics(self.metrics, sockets["metrics_port"]),
        }

    async def _lead(self) -> None:
        """Do what one replica does for all."""
        scheduler, self._scheduler = self._scheduler, self._new_scheduler()
        autonomy: Controller[ObjectKey] = Controller(self._autonomy, self.informers, Random())
        async with asyncio.TaskGroup() as group:
            group.create_task(autonomy.run(), name=f"controller {self._autonomy.name}")
            group.create_task(scheduler.run(), name="scheduler")

    def _new_scheduler(self) -> Scheduler:
        """Return a scheduler for the next term: what one has charged to nodes is not the next one's."""
        recorder = self.recorder.named(SCHEDULER)
        return Scheduler(self.client, self.informers, recorder, self.clock, rng=Random(), name=SCHEDULER)

    def _metrics(self) -> Metrics:
        metrics = hub_metrics_of(self)
        metrics.gauge(
            "store_trouble", "1 while a resource cannot be followed.", lambda: float(bool(self.store.trouble))
        )
        metrics.counter("store_relists", "Lists taken because a watch could not go on.", lambda: self.store.relists)
        metrics.counter("api_wait_seconds", "Time requests waited for the rate.", self._waited_s)
        metrics.gauge("leader", "1 while this replica leads.", lambda: float(self.election.leads))
        return metrics

    def _waited_s(self) -> float:
        return self.store.session.throttled_s


async def run_member(settings: Settings, stop: asyncio.Event, started: asyncio.Future[Any]) -> None:
    """Find the cluster, take the authority from it, open the folder, and run until ``stop`` is set.

    Args:
        settings: The resolved settings.
        stop: Set by a signal.
        started: Gets the cloud once it is built, for signals that reload.

    Raises:
        UsageError: The settings cannot be followed: no way into the cluster, no rights there, a port in use.
    """
    access: Access = (
        KubeconfigAccess(settings.kubeconfig, settings.context) if settings.kubeconfig else InClusterAccess()
    )
    limits = SessionSettings(qps=settings.kube_qps, burst=2 * settings.kube_qps)
    async with ApiSession(access, limits) as session, ApiSession(access, limits) as heartbeats:
        store = await _opened(session, stop)
        if store is None:
            return
        try:
            await _run_on(store, heartbeats, settings, stop, started)
        except (Forbidden, Unauthorized, NotFound) as exc:
            raise UsageError(_no_rights(exc)) from exc
        finally:
            await store.close()


async def _run_on(
    store: KubernetesStore,
    heartbeats: ApiSession,
    settings: Settings,
    stop: asyncio.Event,
    started: asyncio.Future[Any],
) -> None:
    now = SystemClock().wall()
    client = RestClient(store.session, discovery=store.discovery)
    await share_authority(client, NAMESPACE, settings.data_dir / "pki", now)
    resources = await _resources(store)
    for resource in sorted(resources):  # what is missing is to be told now, and by one line
        await _listed(store, resource, stop)
    cluster = Cluster(store.session.server, settings.kubeconfig, settings.context)
    place = Place.open(settings, now=now, cluster=cluster)
    try:
        member = Member(store, heartbeats, settings, place, resources=resources)
        place.announce(ready=False)
        started.set_result(member)
        await member.run(stop)
    finally:
        place.close()


async def _opened(session: ApiSession, stop: asyncio.Event) -> KubernetesStore | None:
    """Return the store as soon as the cluster answers; None if ``stop`` is set before.

    Raises:
        UsageError: The cluster answers that it will not have us.
    """
    backoff = Backoff(RECONNECT, Random())
    while not stop.is_set():
        try:
            return await KubernetesStore.open(session)
        except (Forbidden, Unauthorized) as exc:
            raise UsageError(_no_rights(exc)) from exc
        except ApiError as exc:
            delay_s = backoff.next_delay_s() or 0.0
            log.warning("waiting for the cluster", cause=exc.message, retry_s=round(delay_s, 1), pid=os.getpid())
            try:
                async with asyncio.timeout(delay_s):
                    await stop.wait()
            except TimeoutError:
                continue
    return None


_MAY_BE_LACKING: Final = {
    ACCOUNT_RULES: "the cluster compiles no rules of service accounts: pods cannot read at their device's metaserver",
    DEVICES: "the cluster has no Devices: KubeEdge's definitions are not installed",
    DEVICE_MODELS: "the cluster has no DeviceModels: KubeEdge's definitions are not installed",
}


async def _resources(store: KubernetesStore) -> frozenset[str]:
    """Return what of the cluster makes slices. It may lack this project's own kinds, and KubeEdge's."""
    resources = SLICE_RESOURCES
    for each, told in _MAY_BE_LACKING.items():
        try:
            await store.discovery.of(each)
        except NotFound:
            log.info(told)
            resources -= {each}
    return resources


async def _listed(store: KubernetesStore, resource: str, stop: asyncio.Event) -> None:
    """Wait for the first list of a resource, or for ``stop``."""
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await store.list(resource)
                return


def _no_rights(error: ApiError) -> str:
    return f"the cluster refuses: {error.message}. `cloudcore manifests | kubectl apply -f -` grants what is needed"


async def _ensure(client: Client, resource: str, body: Body) -> None:
    try:
        await client.get(resource, "", body["metadata"]["name"])
    except NotFound:
        try:
            await client.create(resource, body)
        except AlreadyExists:
            return
    except StorageUnavailable as exc:
        log.warning("not made sure of", resource=resource, cause=exc.message)
