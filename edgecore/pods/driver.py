"""The asyncio shell around the pods machine: carries its instructions out and tells it what came of them.

Concurrency: the machine is called on the event loop only, never awaited inside. Instructions are carried out in a
lane per pod (``lanes``), so that a slow disk or a stuck container holds up its own pod only. One timer is armed for
the machine. Nothing polls.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from random import SystemRandom
from typing import Final

import structlog

from edgecore.meta.base import Applied, Desired, Reports
from edgecore.pods.apiaccess import ApiAccess
from edgecore.pods.events import (
    Booted,
    ClearPod,
    ContainerExited,
    ContainerRefused,
    Event,
    Found,
    HoldSet,
    HostMoved,
    Instruction,
    Now,
    PodApplied,
    PodCleared,
    PodFailed,
    PodHeld,
    PodRemoved,
    PrepareVolumes,
    RecordEvent,
    ReferencesChanged,
    ReportFinished,
    ReportStatus,
    RunHook,
    RunProbe,
    SetHold,
    SliceCompleted,
    StartContainer,
    VolumesFailed,
)
from edgecore.pods.gate import Gate
from edgecore.pods.holds import Hold, Holder
from edgecore.pods.lanes import Lanes
from edgecore.pods.machine import PodsMachine
from edgecore.pods.performer import Performer
from edgecore.pods.prober import Prober
from edgecore.pods.recall import StatusOf, recall
from edgecore.pods.runtimes.base import ContainerState, Runtime, RuntimeUnavailable
from edgecore.pods.settings import PodsSettings
from edgecore.pods.sources import TokenSource
from edgecore.pods.storage import PodStorage
from edgecore.pods.unsupported import unsupported
from protocol.backoff import LOCAL
from protocol.objects.keys import Body, ObjectKey, Uid
from protocol.objects.references import pod_references
from protocol.objects.resources import CLAIMS, PERSISTENT_VOLUMES, PODS

log = structlog.get_logger(__name__)

RETRY_S: Final = 10.0
DRAIN_S: Final = 5.0


class PodsDriver:
    """Runs the pods of this node. A :class:`edgecore.meta.base.Subscriber`.

    Args:
        settings: About the node.
        desired: What should run.
        reports: Where statuses and events go.
        runtimes: What can run it, each under its own name.
        storage: Where volumes and notes are kept.
        wall: Reads the time, seconds since the epoch. Timers run on the event loop's clock.
        tokens: Hands out tokens of pods' service accounts, if anything does.
        gate: Decides which pods the node takes; without one it takes all.
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
        tokens: TokenSource | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._settings = settings
        self._desired = desired
        self._runtimes = {runtime.name: runtime for runtime in runtimes}
        self._storage = storage
        self._wall = wall
        self._machine = PodsMachine(settings.host_ip, gate=gate)
        self._performer = Performer(
            settings,
            pod_of=self._machine.get,
            desired=desired,
            reports=reports,
            runtimes=self._runtimes,
            storage=storage,
            wall=wall,
            tokens=tokens,
        )
        self._prober = Prober(
            pod_of=self._machine.get,
            address_of=self._machine.address,
            host_ip=settings.host_ip,
            runtime_of=self._performer.runtime_of,
            answer=self._handle,
        )
        self._users: dict[ObjectKey, set[Uid]] = defaultdict(set)
        self._quiet = asyncio.Event()
        self._lanes = Lanes(self._perform, self._quiet.set)
        self._running = False
        self._early: list[Event] = []
        self._rng = SystemRandom()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = asyncio.Event()
        self._closed = asyncio.Event()
        self._begun = False
        self.on_cleared: Callable[[Uid], None] = lambda _: None
        """Told of each pod of which nothing is left."""
        self.status_of: StatusOf = lambda key, uid: {}
        """Tells what was last reported of a pod, for those whose notes are lost."""

    # --- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Adopt what runs, bring up what should, and go on until :meth:`close`.

        Raises:
            OSError: A runtime cannot begin its work.
        """
        self._begun = True
        try:
            found, late = await self._open_runtimes()
            noted = await self._storage.load()
            async with asyncio.TaskGroup() as tasks:
                self._running = True
                self._lanes.open(tasks)
                self._prober.open(tasks)
                wanted = [held.body for held in self._desired.list(PODS)]
                remembered = recall(noted, wanted, self.status_of)
                for pod in wanted:
                    self._index(pod)
                early, self._early = self._early, []
                self._handle(Booted(wanted, found, remembered, self._desired.complete), *early)
                log.info("pods taken up", pods=len(wanted), containers=len(found))
                for pod in wanted:
                    if pod["metadata"]["uid"] not in remembered:
                        self._warn(pod)
                opening = [tasks.create_task(self._open_late(one), name=f"open-{one.name}") for one in late]
                await self._closing.wait()
                for task in opening:
                    task.cancel()
                self._prober.close()
                await self._drain()
                self._running = False
                self._lanes.close()
        finally:
            self._running = False
            self._lanes.close()
            self._prober.close()
            self._disarm()
            for runtime in self._runtimes.values():
                await runtime.close()
            self._closed.set()

    async def _open_runtimes(self) -> tuple[list[ContainerState], list[Runtime]]:
        """Return what the runtimes know, and those that do not answer: the others are not held up by them."""
        found: list[ContainerState] = []
        late: list[Runtime] = []
        for runtime in self._runtimes.values():
            try:
                found += await runtime.open(self._exited)
            except RuntimeUnavailable as error:
                log.warning("a runtime does not answer; trying until it does", runtime=runtime.name, cause=str(error))
                late.append(runtime)
        return found, late

    async def _open_late(self, runtime: Runtime) -> None:
        for retry in itertools.count():
            await asyncio.sleep(LOCAL.delay_s(retry, self._rng))
            try:
                found = await runtime.open(self._exited)
            except RuntimeUnavailable:
                continue
            log.info("the runtime answers", runtime=runtime.name, containers=len(found))
            self._handle(Found(found, self._desired.complete))
            return

    def knows(self, uid: Uid) -> bool:
        """Tell whether anything may be left of the pod."""
        return self._machine.get(uid) is not None

    async def close(self, *, stop_pods: bool = False) -> None:
        """End :meth:`run`. Pods go on, unless they are to stop too.

        Args:
            stop_pods: Stop every pod, each within its grace period, and wait for it.
        """
        if stop_pods and self._running:
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
        self._lanes.cancel()

    def is_stranger(self, uid: Uid) -> bool:
        """Tell whether a pod is certainly none of this node's."""
        return self._running and self._machine.get(uid) is None

    # --- what is heard --------------------------------------------------------------------------------------------

    def applied(self, changes: Sequence[Applied]) -> None:
        """Take note of committed changes."""
        if not self._running:
            return  # ``run`` reads the store when it begins.
        for change in changes:
            if change.key.resource == PODS:
                self._handle(*self._pod_changed(change))
            else:
                self._handle(*(ReferencesChanged(uid) for uid in sorted(self._users_of(change))))

    def completed(self) -> None:
        """Take note that the store now holds all that is wanted."""
        if self._running:
            self._handle(SliceCompleted())

    def decided(self, *decisions: PodFailed | PodHeld) -> None:
        """Take note of what the node has decided about pods; nothing where pods are not being run."""
        if self._running:
            self._handle(*decisions)

    def statuses(self) -> list[tuple[Body, Body]]:
        """Return each pod with its status as last reported."""
        return self._machine.statuses()

    def hold_by(self, holder: Holder) -> None:
        """Have pods slowed down and paused by ``holder``; without one, none can be."""
        self._performer.holder = holder

    def holds(self) -> dict[Uid, Hold]:
        """Return how far each pod that is to run is held back."""
        return self._machine.holds()

    def serve(self, api: ApiAccess) -> None:
        """Let containers that start from now on find the API that this device serves."""
        self._performer.api = api

    def move(self, host_ip: str) -> None:
        """Take note that the node has another address: pods that have none of their own have it too."""
        self._settings.host_ip = self._prober.host_ip = host_ip
        event = HostMoved(host_ip)
        if self._running:
            self._handle(event)
        else:
            self._early.append(event)

    def sources_changed(self, pod: Uid) -> None:
        """Take note that something a pod's volumes are made of has changed, and is no object of the slice."""
        if self._running:
            self._handle(ReferencesChanged(pod))

    def _pod_changed(self, change: Applied) -> list[Event]:
        events: list[Event] = []
        held, previous = change.held, change.previous
        if previous is not None and (held is None or held.uid != previous.uid):
            events.append(PodRemoved(previous.uid))
        if held is not None:
            self._index(held.body)
            events.append(PodApplied(held.body))
            if previous is None or previous.uid != held.uid:
                self._warn(held.body)
        return events

    def _users_of(self, change: Applied) -> set[Uid]:
        """Return the pods that name what has changed, or whose claim does."""
        if change.key.resource != PERSISTENT_VOLUMES:
            return self._users.get(change.key, set())
        held = change.held or change.previous
        claim = (held.body.get("spec") or {}).get("claimRef") or {} if held is not None else {}
        return self._users.get(ObjectKey(CLAIMS, claim.get("namespace", ""), claim.get("name", "")), set())

    def _index(self, pod: Body) -> None:
        for key in pod_references(pod):
            self._users[key].add(Uid(pod["metadata"]["uid"]))

    def _forget(self, uid: Uid) -> None:
        for key in [key for key, users in self._users.items() if uid in users]:
            self._users[key].discard(uid)
            if not self._users[key]:
                del self._users[key]

    def _warn(self, pod: Body) -> None:
        message = unsupported(pod, self._performer.honoured_for(pod))
        if message:
            self._carry_out([RecordEvent(Uid(pod["metadata"]["uid"]), True, "Unsupported", message)])

    def _exited(self, state: ContainerState) -> None:
        event = ContainerExited(state)
        if not self._running:
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
        if at is not None and self._running:
            self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._carry_out(self._machine.handle_timer(self._now()))
        self._arm()

    # --- what is to be done ---------------------------------------------------------------------------------------

    def _carry_out(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            if isinstance(instruction, RunProbe | RunHook):
                self._prober.add(instruction)
            else:
                self._lanes.add(instruction)
        if self._machine.idle:
            self._quiet.set()

    async def _perform(self, instruction: Instruction) -> None:
        try:
            answer = await self._performer.perform(instruction)
        except OSError as error:
            log.warning("an instruction failed", instruction=instruction, cause=str(error))
            answer = self._failure(instruction, error.strerror or str(error))
        except Exception as error:
            log.exception("an instruction failed unexpectedly", instruction=instruction)
            answer = self._failure(instruction, f"internal error: {error}")
        if isinstance(answer, PodCleared):
            self._forget(answer.uid)
        if answer is not None:
            self._handle(answer)
        if isinstance(answer, PodCleared):
            self.on_cleared(answer.uid)

    def _failure(self, instruction: Instruction, why: str) -> Event | None:
        match instruction:
            case PrepareVolumes(uid):
                return VolumesFailed(uid, "FailedMount", why)
            case StartContainer(container):
                return ContainerRefused(container, "RunContainerError", why)
            case SetHold(uid):
                return HoldSet(uid, why)
            case ClearPod() | ReportStatus() | ReportFinished():
                asyncio.get_running_loop().call_later(RETRY_S, self._carry_out, [instruction])
        return None
