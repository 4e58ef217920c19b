"""The asyncio shell around the pods machine: carries its instructions out and tells it what came of them.

Concurrency: the machine is called on the event loop only, never awaited inside. Instructions about one pod are
carried out in their order by one task, the pod's lane, which exists while there is something to do; lanes of
different pods run side by side, so that a slow disk or a stuck container holds up its own pod only. A lane's queue
is bounded by what the machine can ask for before it is answered; of several statuses waiting in it the newest is
reported. One timer is armed for the machine. Nothing polls.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from edgecore.meta.base import Applied, Desired, Reports
from edgecore.pods.environment import command, environment, user
from edgecore.pods.events import (
    Booted,
    ClearPod,
    ContainerExited,
    ContainerRefused,
    ContainerStarted,
    Event,
    Instruction,
    Now,
    PodApplied,
    PodCleared,
    PodRemoved,
    PrepareVolumes,
    RecordEvent,
    ReferencesChanged,
    ReleaseVolumes,
    ReportFinished,
    ReportStatus,
    SignalContainer,
    SliceCompleted,
    StartContainer,
    VolumesFailed,
    VolumesReady,
)
from edgecore.pods.machine import PodsMachine
from edgecore.pods.recorder import EventRecorder
from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, ContainerState, Runtime, StartRefused
from edgecore.pods.sources import PodSources, ReferenceMissing
from edgecore.pods.storage import PodStorage, VolumeUnavailable
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.references import pod_references
from protocol.objects.resources import PODS, RUNTIME_CLASSES

log = structlog.get_logger(__name__)

RETRY_S: Final = 10.0
DRAIN_S: Final = 5.0
_UNSUPPORTED: Final = ("livenessProbe", "readinessProbe", "startupProbe")


@dataclass(frozen=True, slots=True)
class PodsSettings:
    """What the driver needs to know of its node.

    Attributes:
        node_name: This node.
        host_ip: Its address; of process pods too.
        default_runtime: The handler for pods that name no RuntimeClass.
    """

    node_name: str
    host_ip: str
    default_runtime: str = "process"


class PodsDriver:
    """Runs the pods of this node. A :class:`edgecore.meta.base.Subscriber`.

    Args:
        settings: About the node.
        desired: What should run.
        reports: Where statuses and events go.
        runtimes: What can run it, each under its own name.
        storage: Where volumes and notes are kept.
        wall: Reads the time, seconds since the epoch. Timers run on the event loop's clock.
    """

    def __init__(
        self,
        settings: PodsSettings,
        *,
        desired: Desired,
        reports: Reports,
        runtimes: Iterable[Runtime],
        storage: PodStorage,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._desired = desired
        self._reports = reports
        self._runtimes = {runtime.name: runtime for runtime in runtimes}
        self._storage = storage
        self._wall = wall
        self._machine = PodsMachine(settings.host_ip)
        self._recorder = EventRecorder(settings.node_name)
        self._users: dict[ObjectKey, set[Uid]] = defaultdict(set)
        self._lanes: dict[Uid, deque[Instruction]] = {}
        self._lane_tasks: dict[Uid, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._early: list[Event] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closing = asyncio.Event()
        self._quiet = asyncio.Event()
        self._closed = asyncio.Event()
        self._begun = False

    # --- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Adopt what runs, bring up what should, and go on until :meth:`close`.

        Raises:
            OSError: A runtime cannot begin its work.
        """
        self._begun = True
        try:
            found = [state for runtime in self._runtimes.values() for state in await runtime.open(self._exited)]
            remembered = await self._storage.load()
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                wanted = [held.body for held in self._desired.list(PODS)]
                for pod in wanted:
                    self._index(pod)
                early, self._early = self._early, []
                self._handle(Booted(wanted, found, remembered, self._desired.complete), *early)
                for pod in wanted:
                    if pod["metadata"]["uid"] not in remembered:
                        self._warn_of_probes(pod)
                await self._closing.wait()
                await self._drain()
                self._tasks = None
        finally:
            self._tasks = None
            self._disarm()
            for runtime in self._runtimes.values():
                await runtime.close()
            self._closed.set()

    async def close(self, *, stop_pods: bool = False) -> None:
        """End :meth:`run`. Pods go on, unless they are to stop too.

        Args:
            stop_pods: Stop every pod, each within its grace period, and wait for it.
        """
        if stop_pods and self._tasks is not None:
            self._carry_out(self._machine.stop_all(self._now()))
            self._arm()
            while not self._machine.idle:
                self._quiet.clear()
                await self._quiet.wait()
        self._closing.set()
        if self._begun:
            await self._closed.wait()

    async def _drain(self) -> None:
        """Give lanes a moment to end what they are at; what remains is done again by the next agent."""
        deadline = asyncio.get_running_loop().time() + DRAIN_S
        while self._lanes and asyncio.get_running_loop().time() < deadline:
            self._quiet.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._quiet.wait()
            except TimeoutError:
                break
        for task in self._lane_tasks.values():
            task.cancel()

    # --- what is heard --------------------------------------------------------------------------------------------

    def applied(self, changes: Sequence[Applied]) -> None:
        """Take note of committed changes."""
        if self._tasks is None:
            return  # ``run`` reads the store when it begins.
        for change in changes:
            if change.key.resource == PODS:
                self._handle(*self._pod_changed(change))
            else:
                self._handle(*(ReferencesChanged(uid) for uid in sorted(self._users.get(change.key, ()))))

    def completed(self) -> None:
        """Take note that the store now holds all that is wanted."""
        if self._tasks is not None:
            self._handle(SliceCompleted())

    def _pod_changed(self, change: Applied) -> list[Event]:
        events: list[Event] = []
        held, previous = change.held, change.previous
        if previous is not None and (held is None or held.uid != previous.uid):
            events.append(PodRemoved(previous.uid))
        if held is not None:
            self._index(held.body)
            events.append(PodApplied(held.body))
            if previous is None or previous.uid != held.uid:
                self._warn_of_probes(held.body)
        return events

    def _index(self, pod: Body) -> None:
        for key in pod_references(pod):
            self._users[key].add(Uid(pod["metadata"]["uid"]))

    def _warn_of_probes(self, pod: Body) -> None:
        probed = [one["name"] for one in pod["spec"]["containers"] if any(probe in one for probe in _UNSUPPORTED)]
        if probed:
            message = f"this agent runs no probes; containers count as ready while they run: {', '.join(probed)}"
            event = RecordEvent(Uid(pod["metadata"]["uid"]), True, "ProbesUnsupported", message)
            self._carry_out([event])

    def _exited(self, state: ContainerState) -> None:
        event = ContainerExited(state)
        if self._tasks is None:
            self._early.append(event)
        else:
            self._handle(event)

    def _now(self) -> Now:
        return Now(asyncio.get_running_loop().time(), self._wall())

    def _handle(self, *events: Event) -> None:
        for event in events:
            self._carry_out(self._machine.handle(event, self._now()))
        self._arm()

    def _arm(self) -> None:
        self._disarm()
        at = self._machine.next_timer()
        if at is not None and self._tasks is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._carry_out(self._machine.handle_timer(self._now()))
        self._arm()

    # --- lanes ----------------------------------------------------------------------------------------------------

    def _carry_out(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            uid = _uid_of(instruction)
            lane = self._lanes.get(uid)
            if lane is not None:
                lane.append(instruction)
            elif self._tasks is not None:
                self._lanes[uid] = lane = deque([instruction])
                self._lane_tasks[uid] = self._tasks.create_task(self._serve(uid, lane), name=f"pod-lane:{uid}")
        if self._machine.idle:
            self._quiet.set()

    async def _serve(self, uid: Uid, lane: deque[Instruction]) -> None:
        try:
            while lane:
                instruction = lane.popleft()
                if not (isinstance(instruction, ReportStatus) and any(isinstance(i, ReportStatus) for i in lane)):
                    await self._perform(instruction)
        finally:
            del self._lanes[uid], self._lane_tasks[uid]
            self._quiet.set()

    async def _perform(self, instruction: Instruction) -> None:
        try:
            answer = await self._do(instruction)
        except OSError as error:
            log.warning("an instruction failed", instruction=instruction, cause=str(error))
            answer = self._failure(instruction, error.strerror or str(error))
        except Exception as error:
            log.exception("an instruction failed unexpectedly", instruction=instruction)
            answer = self._failure(instruction, f"internal error: {error}")
        if answer is not None:
            self._handle(answer)

    def _failure(self, instruction: Instruction, why: str) -> Event | None:
        match instruction:
            case PrepareVolumes(uid):
                return VolumesFailed(uid, "FailedMount", why)
            case StartContainer(container):
                return ContainerRefused(container, "RunContainerError", why)
            case ClearPod() | ReportStatus() | ReportFinished():
                asyncio.get_running_loop().call_later(RETRY_S, self._carry_out, [instruction])
        return None

    async def _do(self, instruction: Instruction) -> Event | None:
        match instruction:
            case PrepareVolumes(uid):
                return await self._prepare(uid)
            case StartContainer(container):
                return await self._start(container)
            case SignalContainer(container, number):
                for runtime in self._runtimes.values():
                    await runtime.signal(container, number)
            case ReleaseVolumes(uid):
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

    # --- instructions ---------------------------------------------------------------------------------------------

    async def _prepare(self, uid: Uid) -> Event | None:
        pod = self._machine.get(uid)
        if pod is None:
            return None
        try:
            await self._storage.prepare(pod, self._sources(pod))
        except VolumeUnavailable as error:
            return VolumesFailed(uid, "FailedMount", str(error))
        return VolumesReady(uid)

    async def _start(self, container: ContainerId) -> Event | None:
        pod = self._machine.get(container.pod)
        if pod is None:
            return None
        try:
            spec = self._spec(pod, container)
            return ContainerStarted(await self._runtime_of(pod).start(spec))
        except StartRefused as error:
            return ContainerRefused(container, error.reason, error.message)
        except ReferenceMissing as error:
            return ContainerRefused(container, "CreateContainerConfigError", str(error))

    def _spec(self, pod: Body, container: ContainerId) -> ContainerSpec:
        specs = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
        spec = next(one for one in specs if one["name"] == container.name)
        variables = environment(pod, spec, self._sources(pod))
        who = user(pod, spec)
        return ContainerSpec(
            id=container,
            namespace=pod["metadata"].get("namespace", ""),
            pod_name=pod["metadata"]["name"],
            image=spec.get("image", ""),
            argv=command(spec, variables),
            environment=tuple(variables.items()),
            working_dir=spec.get("workingDir", ""),
            mounts=self._storage.mounts(pod, spec, variables),
            user=who.user,
            group=who.group,
            groups=who.groups,
        )

    def _sources(self, pod: Body) -> PodSources:
        return PodSources(pod, self._desired, self._settings.node_name, self._settings.host_ip)

    def _runtime_of(self, pod: Body) -> Runtime:
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

    async def _clear(self, uid: Uid) -> Event:
        for runtime in self._runtimes.values():
            await runtime.remove_pod(uid)
        await self._storage.remove(uid)
        for key in [key for key, users in self._users.items() if uid in users]:
            self._users[key].discard(uid)
            if not self._users[key]:
                del self._users[key]
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
        pod = self._machine.get(uid)
        if pod is not None:
            await self._reports.pod_finished(pod["metadata"].get("namespace", ""), pod["metadata"]["name"], uid)

    async def _record(self, event: RecordEvent) -> None:
        pod = self._machine.get(event.uid)
        body = None if pod is None else self._recorder.body(event, pod, self._wall())
        if body is not None:
            await self._reports.event(body)


def _uid_of(instruction: Instruction) -> Uid:
    if isinstance(instruction, StartContainer | SignalContainer):
        return instruction.container.pod
    return instruction.uid
