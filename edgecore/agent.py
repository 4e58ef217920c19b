"""The agent without its surroundings: no sockets, files or signals of its own, so that a simulation can hold dozens.

One task group owns everything: the meta store's keeper, the pods driver, the node's reporter, the pods' sampling and
the hub client. If one of them dies, all end with it, and the process: the pods do not notice, and the next agent adopts
them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import structlog

from edgecore.accounts.keeper import TokenKeeper
from edgecore.cgroups.controls import PodGroups
from edgecore.hub.client import Dial, HubClient, LinkState, Phase
from edgecore.hub.requests import RequestFailed, RequestRefused, Requests
from edgecore.hub.session import Introduction, Vitals
from edgecore.hub.traffic import TrafficAccount
from edgecore.meta.store import MetaStore
from edgecore.metrics.exposition import Family
from edgecore.metrics.podfamilies import pod_families
from edgecore.metrics.sampling import PodSampling
from edgecore.metrics.usage import UsageSource
from edgecore.node.facts import Facts
from edgecore.node.reporter import NodeReporter, ReporterSettings
from edgecore.node.sampler import Sampler
from edgecore.node.status import Allotment
from edgecore.pods.apiaccess import ApiAccess
from edgecore.pods.driver import PodsDriver
from edgecore.pods.leftovers import Leftovers
from edgecore.pods.runtimes.base import Runtime
from edgecore.pods.settings import PodsSettings
from edgecore.pods.storage import PodStorage
from edgecore.scheduler.gatekeeper import ROOM, admission_families, gatekeeper, room_condition
from edgecore.scheduler.holder import GroupHolder
from edgecore.scheduler.pressure import PressureMonitor, Sources
from edgecore.scheduler.pressuregate import PressureGate
from edgecore.scheduler.signals import SignalSource
from edgecore.statics.folder import ManifestFolder
from edgecore.statics.keeper import Asked, StaticPods
from edgecore.statics.wanted import WantedPods
from edgecore.thresholds import PRESSURES, EvictionSettings
from edgecore.twin.driver import TwinDriver
from edgecore.twin.store import TwinStore
from protocol.heartbeat import Load
from protocol.objects.devices import DEVICE_REPORTS, Report, encode_reports
from protocol.objects.keys import Body, NodeName, ObjectKey
from protocol.objects.resources import PODS
from protocol.settings import LinkSettings

log = structlog.get_logger("edgecore")


@dataclass(frozen=True, slots=True)
class Machine:
    """The device the agent runs on.

    Attributes:
        facts: What it is.
        allotment: What of it is for pods.
        sampler: How it fares.
        runtimes: What runs pods; the one named first in the allotment is the default.
        storage: Where pods' volumes are kept.
        usage: What measures the pods, one source per runtime that can.
        groups: The pods' control groups.
        eviction: When pods are ended for want of something; None for never.
        signals: What tells how much there is.
        reclaim: What frees disk space without ending a pod.
        addresses: Tells its addresses of the moment; without it they stay those among the facts.
    """

    facts: Facts
    allotment: Allotment
    sampler: Sampler
    runtimes: Iterable[Runtime]
    storage: PodStorage
    usage: tuple[UsageSource, ...] = ()
    groups: PodGroups | None = None
    eviction: EvictionSettings | None = None
    signals: SignalSource | None = None
    reclaim: tuple[Callable[[], Awaitable[None]], ...] = ()
    addresses: Callable[[], tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What may differ from one agent to another.

    Attributes:
        link: The link's settings.
        account: Counts the node's bytes and knows its cap.
        reporter: How often the node is looked at.
        wall_clock: Returns seconds since the epoch; all timers run on the event loop's clock.
        on_state: Told whenever the link's state changes.
        tokens: Where the tokens of pods' service accounts are kept; None for pods without.
        local_tokens: Whether the device makes tokens itself while cut off: its metaserver takes them.
        manifests: The files of static pods; None for none.
        twins: The database of devices' twins; None for a node without devices.
        standalone: Whether the node has never joined a cloud, so that what it holds is all that is wanted.
    """

    link: LinkSettings | None = None
    account: TrafficAccount | None = None
    reporter: ReporterSettings | None = None
    wall_clock: Callable[[], float] = time.time
    on_state: Callable[[LinkState], None] = lambda _: None
    tokens: Path | None = None
    local_tokens: bool = False
    manifests: ManifestFolder | None = None
    twins: Path | None = None
    standalone: bool = False


class Agent:
    """An edge agent. Call :meth:`run` once; cancelling it is a crash, :meth:`stop` an orderly end.

    Args:
        store: The meta store. The caller closes it when ``run`` has ended.
        introduction: Who this node is.
        machine: The device.
        dial: Opens a connection to the hub; None where the cloud is not to be dialled.
        rng: Source of all jitter.
        options: The rest.
    """

    def __init__(
        self,
        store: MetaStore,
        introduction: Introduction,
        machine: Machine,
        *,
        dial: Dial | None,
        rng: Random,
        options: Options | None = None,
    ) -> None:
        options = options or Options()
        self._store = store
        self.runtimes = tuple(machine.allotment.runtimes)
        """The names of the runtimes, the default one first."""
        self._stopped = asyncio.Event()
        self._stop_pods = False
        self._pressure: PressureMonitor | None = None
        self.wanted = WantedPods(store, standalone=options.standalone)
        """What is to run here: reads of pods by other parts go here, for the store has mirrors too."""
        store.subscribe(self.wanted)
        store.static_uid = self.wanted.static_uid
        self._hub = HubClient(
            dial,
            store,
            introduction,
            vitals=Vitals(self._load, lambda: self._sampling.readings),
            rng=rng,
            settings=options.link,
            account=options.account,
            on_state=options.on_state,
        )
        self.tokens = self._keeper(options)
        before = store.last_node_status()
        self._admission = gatekeeper(introduction.node, store, machine.facts, machine.allotment, before)
        self._pods = self._pods_driver(introduction.node, machine, options)
        if self.tokens is not None:
            store.subscribe(self.tokens)  # before the pods, so that a token is under way when its volume is made
        self.wanted.subscribe(self._pods)
        self._statics = self._static_pods(introduction, options)
        self.twins = self._twin_driver(introduction.node, options)
        """What keeps the twins of this node's devices; None for a node without."""
        self._reporter = self._node_reporter(machine, options, before)
        self._sampling = PodSampling(self._wanted, machine.usage)
        self._groups = machine.groups or PodGroups()
        self._pressure = self._watch_pressure(machine)
        self._leftovers = Leftovers(self._groups, self._pods.is_stranger, lambda: store.complete)

    def _pods_driver(self, node: NodeName, machine: Machine, options: Options) -> PodsDriver:
        driver = PodsDriver(
            PodsSettings(
                node,
                machine.facts.addresses[0],
                machine.allotment.runtimes[0],
                machine.facts.memory_bytes,
                machine.allotment.container_pids,
                machine.allotment.pod_pids,
            ),
            desired=self.wanted,
            reports=self._store,
            runtimes=machine.runtimes,
            storage=machine.storage,
            wall=options.wall_clock,
            tokens=self.tokens,
            gate=PressureGate(self._admission, self._pressures),
        )
        driver.status_of = self._store.status_of
        if machine.groups is not None:
            driver.hold_by(GroupHolder(machine.groups))
        return driver

    def _node_reporter(self, machine: Machine, options: Options, before: Body) -> NodeReporter:
        """Return what reports the node, and tells of what the agent's other parts are short of."""
        reporter = NodeReporter(
            self._store,
            machine.facts,
            machine.allotment,
            sampler=machine.sampler,
            wall_clock=options.wall_clock,
            settings=options.reporter,
            before=before,
            pods=lambda: len(self.wanted.list(PODS)),
        )
        waited = any(each["type"] == ROOM for each in before.get("conditions") or ())
        reporter.room = lambda: room_condition(self._admission, waited=waited)
        reporter.addresses = machine.addresses or (lambda: machine.facts.addresses)
        reporter.on_move = self._moved
        reporter.disk_problem = lambda: self._store.problem
        fallible = [runtime for runtime in machine.runtimes if runtime.problem is not None]
        reporter.troubles = lambda: {runtime.name: runtime.problem or "" for runtime in fallible}
        if machine.groups is not None:
            groups = machine.groups
            reporter.groups_problem = lambda: groups.problem
        return reporter

    def _watch_pressure(self, machine: Machine) -> PressureMonitor | None:
        """Return what watches for the node to run short, where there is something to watch."""
        if machine.eviction is None or machine.signals is None:
            return None
        sources = Sources(
            machine.signals,
            usage=machine.usage,
            storage=machine.storage,
            runtimes=tuple(machine.runtimes),
            controls=machine.groups,
            reclaim=machine.reclaim,
        )
        conditions = (self._store.last_node_status() or {}).get("conditions") or ()
        left = [each["type"] for each in conditions if each["type"] in PRESSURES and each["status"] == "True"]
        monitor = PressureMonitor(
            machine.eviction, self._pods, sources, conditions=left, changed=self._reporter.refresh
        )
        self._reporter.pressures = self._pressures
        return monitor

    def _pressures(self) -> frozenset[str]:
        return frozenset() if self._pressure is None else self._pressure.conditions

    def _keeper(self, options: Options) -> TokenKeeper | None:
        """Return what gets the pods' tokens, where there is a place to keep them."""
        if options.tokens is None:
            return None
        return TokenKeeper(
            options.tokens,
            self._store,
            self._hub.requests,
            changed=lambda uid: self._pods.sources_changed(uid),  # noqa: PLW0108 - the driver is built after
            wall=options.wall_clock,
            local=options.local_tokens,
        )

    def _static_pods(self, introduction: Introduction, options: Options) -> StaticPods | None:
        """Return what keeps the static pods, where there may be any; they are known from here on."""
        if options.manifests is None:
            return None
        statics = StaticPods(
            introduction.node,
            options.manifests,
            self.wanted,
            reports=self._store,
            ask=self._ask_for_mirror,
            reachable=lambda: self._hub.requests.connected,
            lives=self._pods.knows,
            wall=options.wall_clock,
        )
        self._pods.on_cleared = statics.cleared
        self._hub.requests.on_change(lambda _: statics.wake())
        statics.begin()
        return statics

    def _twin_driver(self, node: NodeName, options: Options) -> TwinDriver | None:
        """Return what keeps devices' twins, where there is a place to keep them."""
        if options.twins is None:
            return None
        key = ObjectKey(DEVICE_REPORTS, "", node)
        twins = TwinDriver(
            self._store,
            self._store,
            TwinStore(options.twins),
            send=lambda reports, request_id: self._send_reports(key, reports, request_id),
            wall=options.wall_clock,
        )
        self._store.subscribe(twins)
        self._hub.requests.on_change(lambda connected: twins.reachable() if connected else None)
        return twins

    async def _send_reports(self, key: ObjectKey, reports: Sequence[Report], request_id: str) -> bool:
        """Send reports of devices to the cloud; False where they have to be sent again later."""
        try:
            await self._hub.requests.tell(key, encode_reports(reports), request_id=f"{key.name}-{request_id}")
        except RequestRefused as refused:
            log.warning("reports of devices refused by the cloud", code=refused.code, cause=refused.reason)
            return refused.code != "Forbidden"  # a cloud that keeps no reports may do so one day
        except RequestFailed:
            return False
        return True

    async def _ask_for_mirror(self, key: ObjectKey, mirror: bytes) -> None:
        try:
            await self._hub.requests.ask(key, mirror)
        except RequestFailed as error:
            raise Asked(str(error), refused=isinstance(error, RequestRefused)) from error

    @property
    def link(self) -> LinkState:
        """Where the way to the cloud stands."""
        return self._hub.state

    @property
    def requests(self) -> Requests:
        """What asks the cloud."""
        return self._hub.requests

    def serve(self, api: ApiAccess) -> None:
        """Let pods find the API that this device serves; before :meth:`run`."""
        self._pods.serve(api)

    def reload(self, link: LinkSettings, daily_bytes: int) -> None:
        """Take over settings: the cap at once, the link's with its next session."""
        self._hub.settings = link
        self._hub.cap(daily_bytes)

    def live(self) -> dict[str, Any]:
        """Return what ``edgecore status`` shows of a running agent and no disk knows."""
        return self._hub.live()

    def families(self) -> Iterator[Family]:
        """Yield metrics of the pods and the link, for the device's Prometheus endpoint."""
        yield from pod_families(self._sampling.meter, self._wanted())
        if self._pressure is not None:
            yield from self._pressure.families()
        yield from admission_families(self._admission)
        connected = float(self.link.phase is Phase.CONNECTED)
        yield Family("aiokubeedge_edge_link_connected", "Whether the cloud is connected.", [({}, connected)])
        yield Family("aiokubeedge_edge_pods", "Pods of this node.", [({}, len(self._wanted()))])
        yield Family("aiokubeedge_edge_requests_per_second", "As pods tell.", [({}, self._sampling.meter.requests_s)])

    def _moved(self, address: str) -> None:
        self._pods.move(address)
        self._hub.redial("the node's address has changed")

    def _load(self) -> Load:
        return replace(self._reporter.load(), requests=round(self._sampling.meter.requests_s * 1000))

    def _wanted(self) -> list[Body]:
        return [held.body for held in self.wanted.list(PODS)]

    async def run(self) -> None:
        """Run pods and keep in touch with the cloud until :meth:`stop`."""
        async with asyncio.TaskGroup() as tasks:
            lasting = [
                tasks.create_task(self._store.run(), name="meta-keeper"),
                tasks.create_task(self._reporter.run(), name="node-reporter"),
            ]
            if self._pressure is not None:
                lasting.append(tasks.create_task(self._pressure.run(), name="pressure-monitor"))
            lasting.append(tasks.create_task(self._leftovers.run(), name="leftover-groups"))
            sampling = tasks.create_task(self._sampling.run(), name="pod-sampling")
            if self.tokens is not None:
                lasting.append(tasks.create_task(self.tokens.run(), name="token-keeper"))
            tasks.create_task(self._pods.run(), name="pods-driver")
            if self.twins is not None:
                lasting.append(tasks.create_task(self.twins.run(), name="twins"))
            if self._statics is not None:
                lasting.append(tasks.create_task(self._statics.run(), name="static-pods"))
            hub = tasks.create_task(self._hub.run(), name="hub-client")
            await self._stopped.wait()
            sampling.cancel()  # it asks through connections that the runtimes are about to close
            # While the link is still up, so that the last statuses reach the cloud if it is there.
            await self._pods.close(stop_pods=self._stop_pods)
            self._hub.leave()
            await hub
            for task in lasting:
                task.cancel()
            self._groups.close()

    def stop(self, *, stop_pods: bool = False) -> None:
        """End :meth:`run`: say goodbye to the cloud and leave the pods running, or stop them first."""
        self._stop_pods = stop_pods
        self._stopped.set()
