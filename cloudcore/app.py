"""The composition root of the cloud daemon: builds the parts, wires them, and owns their tasks.

Contract. One TaskGroup owns every long-running task; if one dies, the daemon ends with status 1, for a cloud that
lacks a part must be seen to have failed. Start: store, bootstrap, informers, controllers, scheduler, hub, and the
listeners last, so that whoever connects meets a whole cloud. Stop: nodes are told when to come back, the API ends
its watches, tasks end, and the store commits what is queued and closes last.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from functools import partial
from random import Random
from typing import Any

import structlog

from cloudcore.apiserver.admission.standard import Limits, admission_chain
from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.http.app import App, AppSettings
from cloudcore.apiserver.http.health import Check
from cloudcore.apiserver.http.identity import Identity
from cloudcore.apiserver.http.podrequests import PodRequests
from cloudcore.apiserver.http.server import ApiServer
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.ownservice import keep_published, publish
from cloudcore.apiserver.rbac.reconciliation import reconcile_defaults
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.token import node_tokens
from cloudcore.clock import SystemClock
from cloudcore.config import Settings
from cloudcore.controllers.manager import ControllerManager, ControllerSettings
from cloudcore.devices.reportlog import ReportLog
from cloudcore.devices.views import DeviceViews
from cloudcore.events import EventRecorder
from cloudcore.hub.figures import LinkFigures
from cloudcore.hub.hub import Hub
from cloudcore.hub.server import HubServer
from cloudcore.hub.settings import HubSettings
from cloudcore.hub.upstream import PodServices
from cloudcore.informers import Informers
from cloudcore.metered import metrics_of
from cloudcore.place import Place
from cloudcore.scheduler import Scheduler
from cloudcore.security.accounttokens import TokenIssuer
from cloudcore.security.enrolment import EnrolmentServer
from cloudcore.security.identity import Pins, fingerprint
from cloudcore.security.joining import Joining
from cloudcore.spans import send_spans
from cloudcore.store.base import Store
from cloudcore.store.sqlite import SqliteStore
from cloudcore.telemetry.looplag import LoopLag
from cloudcore.telemetry.prometheus import serve_metrics
from protocol.objects.devices import DEVICE_STATUSES, DEVICES
from protocol.objects.keys import NodeName, ObjectKey
from protocol.objects.resources import (
    DEVICE_HISTORIES,
    NODE_LINKS,
    NODE_METRICS,
    NODE_SYNCS,
    NODES,
    OBJECT_TRACES,
    POD_METRICS,
)

log = structlog.get_logger(__name__)


class CloudCore:
    """The parts of one cloud, wired but not running.

    Args:
        store: Holds everything; the caller closes it after :meth:`run` has ended.
        settings: The resolved settings.
        place: Its folder, keys and listening sockets.
    """

    def __init__(self, store: Store, settings: Settings, place: Place) -> None:
        self._place = place
        self.clock = SystemClock()
        self.store = store
        self.limits = Limits(max_pending_pods=settings.max_pending_pods)
        self.informers = Informers(store)
        self.identity = Identity(
            TokenIssuer(place.account_keys, api_url=place.api_url),
            self.informers,
            self.clock.wall,
            superseded=self._superseded,
            slice_contains=self._in_slice,
        )
        self.registry = Registry(
            store,
            admission=admission_chain(self.limits, self._pending_pods, rights=self.identity.rights),
            tokens=self.identity.issuer,
        )
        client = partial(LocalClient, self.registry)
        self.recorder = EventRecorder(client("system:event-recorder"), self.clock, "cloudcore")
        self.controllers = ControllerManager(
            client("system:kube-controller-manager"),
            self.informers,
            self.recorder,
            self.clock,
            self.registry.kinds,
            settings=ControllerSettings(settings.node_grace_s, authority=place.authority, tokens=self.identity.issuer),
        )
        self.device_reports = ReportLog(place.data_dir)
        recorder = self.recorder.named("default-scheduler")
        self.scheduler = Scheduler(client("system:kube-scheduler"), self.informers, recorder, self.clock, rng=Random())
        self.hub = Hub(
            store,
            client("system:hub"),
            self.recorder.named("hub"),
            clock=self.clock,
            rng=Random(),
            settings=HubSettings.of(settings),
            services=PodServices(
                node_tokens(self.registry),
                PodRequests(self.registry, self.identity.authorizer).perform,
                self.device_reports.append,
            ),
        )
        self._provide_views()
        self.spans = send_spans(self.hub.tracing, settings.otlp_endpoint, self.clock)
        self.enrolment = EnrolmentServer(
            Joining(client("system:enrolment"), place.authority, self.clock.wall),
            place.authority,
            hub_urls=place.hub_urls,
            clock=self.clock,
        )
        self.app = App(self._api_settings())
        self.loop_lag = LoopLag()
        self.figures = LinkFigures(self.hub, self.clock.monotonic)
        self.metrics = metrics_of(self)

    def _provide_views(self) -> None:
        """Let the API serve what only the hub knows."""
        views, registry = self.hub.views, self.registry
        registry.provide(NODE_LINKS, views.node_links)
        registry.provide(NODE_METRICS, views.node_metrics)
        registry.provide_namespaced(POD_METRICS, views.pod_metrics)
        registry.provide(NODE_SYNCS, views.node_syncs, views.node_sync)
        registry.provide(OBJECT_TRACES, views.object_traces)
        devices = DeviceViews(partial(self.hub.router.records, DEVICES), self.device_reports)
        registry.provide_namespaced(DEVICE_STATUSES, devices.statuses)
        registry.provide_namespaced(DEVICE_HISTORIES, devices.histories)
        registry.take(OBJECT_TRACES, views.arm_trace, self.hub.tracing.disarm)

    def _api_settings(self) -> AppSettings:
        return AppSettings(
            self.registry,
            authenticator=self.identity.authenticator,
            authorizer=self.identity.authorizer,
            rules=self.identity.roles,
            tokens=self.identity.accounts.review,
            readiness=self._readiness(),
            exposition=self._exposition,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then drain and return."""
        await bootstrap(self.registry)
        await reconcile_defaults(self.registry)
        await publish(LocalClient(self.registry), self._place.names, self._place.ports["api_port"])
        api, edges = ApiServer(self.app), HubServer(self.hub, self._place.tls(ssl.CERT_REQUIRED))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name=name) for name, part in self._parts().items()]
            await self.informers.wait_synced()
            await self.hub.ready.wait()
            tasks += [group.create_task(part, name=name) for name, part in self._listeners().items()]
            await api.start(self._place.tls(ssl.CERT_OPTIONAL), sock=self._place.sockets["api_port"])
            await edges.start(self._place.sockets["ws_port"])
            self._place.announce(ready=True)
            log.info("cloudcore is ready", kubeconfig=str(self._place.kubeconfig), **self._place.ports)
            await stop.wait()
            log.info("draining")
            await self.hub.drain()
            await edges.stop()
            await api.close()
            for task in tasks:
                task.cancel()
        if self.spans is not None:
            await asyncio.to_thread(self.spans.close)
        log.info("stopped")

    def reload(self, settings: Settings) -> None:
        """Take over the settings that may change while the daemon runs."""
        self.limits.max_pending_pods = settings.max_pending_pods
        self.hub.reload(settings.link.options.settings(), settings.link.daily_bytes)

    def _parts(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        return {
            "informers": self.informers.run(),
            "events": self.recorder.run(),
            "controllers": self.controllers.run(),
            "scheduler": self.scheduler.run(),
            "hub": self.hub.run(),
            "device reports": self.device_reports.run(),
            "loop lag": self.loop_lag.run(),
            "link figures": self.figures.run(),
            "own service": keep_published(LocalClient(self.registry), self._place.names, self._place.ports["api_port"]),
        }

    def _listeners(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        sockets = self._place.sockets
        return {
            "enrolment": self.enrolment.run(sockets["enrol_port"], self._place.tls(ssl.CERT_NONE)),
            "metrics": serve_metrics(self.metrics, sockets["metrics_port"]),
        }

    def _readiness(self) -> Mapping[str, Check]:
        return {
            "informers-synced": lambda: "" if self.informers.synced else "still listing",
            "hub": lambda: "" if self.hub.ready.is_set() else "slices are not known yet",
            "store": lambda: self.store.trouble,
        }

    def _exposition(self) -> bytes:
        return self.metrics.exposition()

    def _superseded(self, node: str, certificate_der: bytes) -> bool:
        record = self.hub.router.record(ObjectKey(NODES, "", node))
        return record is None or Pins.of(record.decode()).certificate != fingerprint(certificate_der)

    def _in_slice(self, node: NodeName, key: ObjectKey) -> bool:
        return self.hub.router.contains(node, key)

    def _pending_pods(self) -> int:
        return self.scheduler.active_count


async def run_daemon(settings: Settings, stop: asyncio.Event, started: asyncio.Future[CloudCore]) -> None:
    """Open the folder and the store, run the cloud until ``stop`` is set, close the store.

    Args:
        settings: The resolved settings.
        stop: Set by a signal.
        started: Gets the cloud once it is built, for signals that reload.

    Raises:
        UsageError: The settings cannot be followed: a port or the database is in use, the folder not writable.
    """
    place = Place.open(settings, now=SystemClock().wall())
    store = await SqliteStore.open(place.database)
    try:
        cloud = CloudCore(store, settings, place)
        place.announce(ready=False)
        started.set_result(cloud)
        await cloud.run(stop)
    finally:
        await store.close()
        place.close()
