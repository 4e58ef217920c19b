"""Carries out one instruction of the pods machine at a time: asks runtimes, storage and the way up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from edgecore.meta.base import Desired, Reports
from edgecore.pods.apiaccess import ApiAccess
from edgecore.pods.containers import UNAVAILABLE
from edgecore.pods.containerspec import container_spec, sandbox
from edgecore.pods.environment import environment, names_address
from edgecore.pods.events import (
    ClearPod,
    ContainerRefused,
    ContainerStarted,
    Event,
    HoldSet,
    Instruction,
    PodCleared,
    PrepareVolumes,
    RecordEvent,
    ReleaseVolumes,
    ReportFinished,
    ReportStatus,
    SetHold,
    SignalContainer,
    StartContainer,
    VolumesFailed,
    VolumesReady,
)
from edgecore.pods.holds import Hold, Holder, NoHolder
from edgecore.pods.recorder import EventRecorder
from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, Runtime, RuntimeUnavailable, StartRefused, Teller
from edgecore.pods.settings import PodsSettings
from edgecore.pods.sources import PodSources, ReferenceMissing, TokenSource
from edgecore.pods.storage import PodStorage, VolumeUnavailable
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.resources import RUNTIME_CLASSES

log = structlog.get_logger(__name__)


class Performer:
    """Does what instructions say. Keeps nothing but what was said in Events.

    Args:
        settings: About the node.
        pod_of: Looks a pod up by its uid; None once it is forgotten.
        desired: What should run.
        reports: Where statuses and events go.
        runtimes: What can run it, by name.
        storage: Where volumes and notes are kept.
        wall: Reads the time, seconds since the epoch.
        tokens: Hands out tokens of pods' service accounts, if anything does.
    """

    def __init__(
        self,
        settings: PodsSettings,
        *,
        pod_of: Callable[[Uid], Body | None],
        desired: Desired,
        reports: Reports,
        runtimes: Mapping[str, Runtime],
        storage: PodStorage,
        wall: Callable[[], float],
        tokens: TokenSource | None = None,
    ) -> None:
        self._settings = settings
        self._pod_of = pod_of
        self._desired = desired
        self._reports = reports
        self._runtimes = runtimes
        self._storage = storage
        self._wall = wall
        self.holder: Holder = NoHolder()
        """Slows pods down and pauses them."""
        self._tokens = tokens
        self._recorder = EventRecorder(settings.node_name)
        self.api: ApiAccess | None = None
        """The API that this device serves to its pods, while it does."""

    async def perform(self, instruction: Instruction) -> Event | None:
        """Carry ``instruction`` out and return what came of it, if the machine waits for that.

        Raises:
            OSError: A disk, a runtime or the meta store refuses.
        """
        match instruction:
            case PrepareVolumes(uid):
                return await self._prepare(uid)
            case StartContainer(container):
                return await self._start(container)
            case SignalContainer(container, number):
                for runtime in self._runtimes.values():
                    await runtime.signal(container, number)
            case SetHold(uid, hold):
                return await self._hold(uid, hold)
            case ReleaseVolumes(uid):
                for runtime in self._runtimes.values():
                    await runtime.release_pod(uid)
                await self._storage.release(uid)
            case ClearPod(uid):
                return await self._clear(uid)
            case ReportStatus():
                await self._report(instruction)
            case ReportFinished(uid):
                await self._report_finished(uid)
            case RecordEvent():
                await self._record(instruction)
        return None

    async def _prepare(self, uid: Uid) -> Event | None:
        pod = self._pod_of(uid)
        if pod is None:
            return None
        if self._tokens is not None:
            await self._tokens.settled(pod)
        try:
            await self._storage.prepare(pod, self._sources(pod))
        except VolumeUnavailable as error:
            return VolumesFailed(uid, "FailedMount", str(error))
        return VolumesReady(uid)

    async def _start(self, container: ContainerId) -> Event | None:
        pod = self._pod_of(container.pod)
        if pod is None:
            return None
        try:
            runtime, shared = self.runtime_of(pod), sandbox(pod, self._settings)
            own_network = runtime.own_networks and not shared.host_network
            # Starting makes what they share as well, and has more to do at once than this.
            waits = own_network and names_address(_container_of(pod, container))
            address = await runtime.prepare(shared) if waits else ""
            spec = self._spec(pod, container, address, own_network=own_network)
            return ContainerStarted(await runtime.start(spec, self._teller(container)))
        except StartRefused as error:
            return ContainerRefused(container, error.reason, error.message)
        except RuntimeUnavailable as error:
            return ContainerRefused(container, UNAVAILABLE, str(error))
        except ReferenceMissing as error:
            return ContainerRefused(container, "CreateContainerConfigError", str(error))

    def _teller(self, container: ContainerId) -> Teller:
        async def tell(reason: str, message: str, warning: bool) -> None:
            await self._record(RecordEvent(container.pod, warning, reason, message, container.name))

        return tell

    def _spec(self, pod: Body, container: ContainerId, address: str, *, own_network: bool) -> ContainerSpec:
        spec = _container_of(pod, container)
        sources = self._sources(pod, address)
        given = {} if self.api is None else self.api.variables(own_network=own_network)
        variables = environment(pod, spec, sources, given)
        return container_spec(
            pod,
            spec,
            container,
            variables=variables,
            mounts=self._storage.mounts(pod, spec, variables),
            sources=sources,
            settings=self._settings,
        )

    def _sources(self, pod: Body, address: str = "") -> PodSources:
        node, host_ip = self._settings.node_name, self._settings.host_ip
        authority = "" if self.api is None else self.api.authority_pem
        return PodSources(pod, self._desired, node, host_ip, address, self._tokens, authority)

    def runtime_of(self, pod: Body) -> Runtime:
        """Return what runs the pod.

        Raises:
            StartRefused: This agent has no such runtime.
        """
        name = pod["spec"].get("runtimeClassName")
        handler = name or self._settings.default_runtime
        if name:
            held = self._desired.get(ObjectKey(RUNTIME_CLASSES, "", name))
            handler = held.body.get("handler", name) if held is not None else name
        runtime = self._runtimes.get(handler)
        if runtime is None:
            have = ", ".join(sorted(self._runtimes))
            message = f"no runtime for runtime class {name!r} (handler {handler!r}); this agent has: {have}"
            raise StartRefused("CreateContainerConfigError", message)
        return runtime

    def honoured_for(self, pod: Body) -> frozenset[str]:
        """Return what the pod's runtime acts on beyond what every runtime does."""
        try:
            return self.runtime_of(pod).honours
        except StartRefused:
            return frozenset()

    async def _hold(self, uid: Uid, hold: Hold) -> Event | None:
        pod = self._pod_of(uid)
        if pod is None:
            return None
        await self.holder.hold(pod, hold)
        return HoldSet(uid)

    async def _clear(self, uid: Uid) -> Event:
        for runtime in self._runtimes.values():
            await runtime.remove_pod(uid)
        await self._storage.remove(uid)
        return PodCleared(uid)

    async def _report(self, report: ReportStatus) -> None:
        note = report.remembered
        try:
            await self._storage.remember(report.uid, note)
        except OSError as error:
            # The cloud should hear of it all the same; what is lost is only continuity over a restart.
            log.warning("a pod's note cannot be written", pod=report.uid, cause=str(error))
        await self._reports.pod_status(note.namespace, note.name, report.uid, note.status)

    async def _report_finished(self, uid: Uid) -> None:
        pod = self._pod_of(uid)
        if pod is not None:
            await self._reports.pod_finished(pod["metadata"].get("namespace", ""), pod["metadata"]["name"], uid)

    async def _record(self, event: RecordEvent) -> None:
        pod = self._pod_of(event.uid)
        body = None if pod is None else self._recorder.body(event, pod, self._wall())
        if body is not None:
            await self._reports.event(body)


def _container_of(pod: Body, container: ContainerId) -> Body:
    specs: list[Body] = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    return next(one for one in specs if one["name"] == container.name)
