"""One pod's part of the machine: brings its containers to where the pod's spec, and its end, want them.

Level-based: every event only notes what is so; then :meth:`PodMachine.advance` compares what is with what is wanted
and asks for the difference, once. So an event that comes late, twice or in another order changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Final

from edgecore.pods import endings, gate, health
from edgecore.pods import status as statuses
from edgecore.pods.containers import IMAGE_REASONS, Container, Kind, Phase, Waiting, containers_of
from edgecore.pods.endings import SIGKILL
from edgecore.pods.events import (
    ClearPod,
    HoldSet,
    Instruction,
    Now,
    PodFailed,
    PodHeld,
    PrepareVolumes,
    ProbeEnded,
    RecordEvent,
    ReleaseVolumes,
    Remembered,
    ReportFinished,
    ReportStatus,
    RunHook,
    RunProbe,
    SetHold,
    SignalContainer,
    StartContainer,
)
from edgecore.pods.holds import REASONS, Hold, Holding
from edgecore.pods.lifecycles import LAST_MOMENT_S, POST_START_MAX_S, Hook
from edgecore.pods.preparation import Preparation
from edgecore.pods.probes import Outcome, ProbeSpec
from edgecore.pods.runtimes.base import ContainerId, ContainerState
from protocol.errors import LocalProtocolError
from protocol.objects.keys import Body, Uid
from protocol.objects.times import parse_timestamp, timestamp

DEFAULT_GRACE_S: Final = 30.0


class PodMachine:
    """The decisions about one pod. Performs no I/O and reads no clock.

    Args:
        pod: The Pod as the store holds it.
        host_ip: The node's address.
        before: The last recorded status, or empty.
        now: The current moment.
        rng: Spreads the first probes of what is adopted.
    """

    def __init__(self, pod: Body, *, host_ip: str, before: Body, now: Now, rng: Random) -> None:
        self.uid = Uid(pod["metadata"]["uid"])
        self.pod = pod
        self.containers: list[Container] = containers_of(pod)
        self.removed = False
        self.halted = False
        self._host_ip = host_ip
        self._rng = rng
        self._status = before
        # A report that was due when the agent died may be lost: each pod is reported once after each start.
        self._reported = False
        self._out: list[Instruction] = []
        self._late: list[ContainerState] = []
        self._volumes = Preparation()
        self._stop_began: float | None = None
        self._finished = False
        self._clearing = False
        self._verdict: statuses.Verdict | None = None
        self._hurry_s: float | None = None
        self.holding = Holding.left_by(before)
        self.admitted = False
        self.waiting: gate.Wait | None = None
        self._started_at = parse_timestamp(before["startTime"]) if "startTime" in before else now.wall
        self._deadline: float | None = None
        if before.get("phase") in statuses.TERMINAL:
            self._verdict = statuses.Verdict(before["phase"], before.get("reason", ""), before.get("message", ""))
        elif before.get("reason"):
            # The last agent had begun to end it: only a pod on its way out has a reason before its final phase.
            self._verdict = statuses.Verdict(statuses.FAILED, before["reason"], before.get("message", ""))
        self._set_deadline(now)

    # --- what has happened ----------------------------------------------------------------------------------------

    def adopt(self, found: list[ContainerState], now: Now) -> None:
        """Take over what the runtime knows of the pod; comes before anything else."""
        for container in self.containers:
            states = sorted((s for s in found if s.id.name == container.name), key=lambda state: state.id.attempt)
            if states:
                container.adopt(states, now.monotonic, now.wall)
                self._probe_adopted(container, now)
        named = {container.name for container in self.containers}
        for state in found:
            if state.id.name not in named and state.exit is None:
                self._out.append(SignalContainer(state.id, SIGKILL))
        for container in self.containers:
            if container.restarts and container.not_before > now.monotonic:
                container.waiting = self._crash_loop(container, container.not_before - now.monotonic)

    def found(self, states: list[ContainerState], now: Now) -> None:
        """Take over what a runtime knows that could not be asked before; nothing of it was started since then."""
        fresh = [container for container in self.containers if container.phase is Phase.WAITING]
        busy = {container.name for container in self.containers if container.phase is Phase.CREATING}
        # What is just being started is refused, and taken over then.
        self._late = [state for state in states if state.id.name in busy]
        self.adopt([state for state in states if state.id.name not in busy], now)
        for container in fresh:
            if container.phase is Phase.WAITING:
                container.not_before, container.failures = now.monotonic, 0

    def _probe_adopted(self, container: Container, now: Now) -> None:
        """Go on probing an instance, from what was last reported of it. A postStart hook is not run again."""
        if container.phase is not Phase.RUNNING or container.current is None:
            return
        began_at = now.monotonic - max(now.wall - container.current.started_at, 0.0)
        container.probe(began_at, now.monotonic, health.known_of(container, self._status), self._rng)

    def apply(self, pod: Body, now: Now) -> None:
        """Note that the pod is now wanted as ``pod`` says."""
        if self.deleted and "deletionTimestamp" not in pod["metadata"]:
            self.come_back()
        if any(pod["metadata"].get(part) != self.pod["metadata"].get(part) for part in ("labels", "annotations")):
            self._volumes.references_changed()  # those that show the pod's own fields
        self.pod = pod
        specs = {one["name"]: one for part in ("initContainers", "containers") for one in pod["spec"].get(part) or ()}
        for container in self.containers:
            container.image = specs.get(container.name, {}).get("image", container.image)
        self._set_deadline(now)

    def come_back(self) -> None:
        """Forget the deletion: a cloud restored from a backup wants the pod again. An end of its own stays one."""
        self._stop_began, self._finished = None, False
        phase = statuses.phase_of(self.containers, self.pod["spec"].get("restartPolicy", "Always"))
        if self._verdict is None or self._verdict.reason or phase in statuses.TERMINAL:
            return
        self._verdict = None
        self._status = {name: value for name, value in self._status.items() if name != "phase"}
        if self._volumes.released:
            self._volumes = Preparation()

    def references_changed(self) -> None:
        """Note that something the pod names has come, changed or gone."""
        self._volumes.references_changed()
        for container in self.containers:
            if container.waiting.reason == "CreateContainerConfigError":
                container.not_before = 0.0

    def volumes_ready(self) -> None:
        """Note that the volumes are on disk."""
        self._volumes.succeeded()

    def volumes_failed(self, reason: str, message: str, now: Now) -> None:
        """Note that the volumes cannot be had now."""
        self._record(True, reason, message)
        self._volumes.failed(now.monotonic)

    def started(self, state: ContainerState, now: Now) -> None:
        """Note that an instance runs (or has ended already)."""
        container = self._current(state.id)
        if container is None or container.phase is not Phase.CREATING:
            return
        container.run(state)
        self._record(False, "Started", f"Started container {container.name}", container.name)
        if container.lifecycle.post_start:
            action = container.lifecycle.post_start
            self._out.append(RunHook(container.id, Hook.POST_START, action, POST_START_MAX_S))
        else:
            container.probe(now.monotonic, now.monotonic, None, self._rng)

    def refused(self, instance: ContainerId, reason: str, message: str, now: Now) -> None:
        """Note that an instance could not be started."""
        container = self._current(instance)
        if container is None or container.phase is not Phase.CREATING:
            return
        if container.waiting != Waiting(reason, message):
            what = reason if reason in IMAGE_REASONS else message
            self._record(True, "Failed", f"Error: {what}", container.name)
        container.refuse(Waiting(reason, message), now.monotonic)
        late = [state for state in self._late if state.id.name == container.name]
        if late:
            self._late = [state for state in self._late if state.id.name != container.name]
            self.adopt(late, now)

    def exited(self, state: ContainerState, now: Now) -> None:
        """Note that an instance has ended."""
        container = self._current(state.id)
        if container is None or not container.active:
            return
        container.end(state, now.monotonic)
        assert state.exit is not None
        if container.restarts and self.wanted and container.not_before > now.monotonic:
            delay = container.not_before - now.monotonic
            container.waiting = self._crash_loop(container, delay)
            message = f"Back-off restarting failed container {container.name} in pod {self._full_name}"
            self._record(True, "BackOff", message, container.name)

    def probed(self, event: ProbeEnded, now: Now) -> None:
        """Note how a probe went."""
        container = self._current(event.container)
        if container is None or container.probes is None or container.phase is not Phase.RUNNING:
            return
        if self.holding.frozen:
            # It could not have answered.
            container.probes.note(event.kind, Outcome.UNKNOWN, now.monotonic)
            return
        container.probes.note(event.kind, event.outcome, now.monotonic)
        told = health.told(event)
        self._out += [told] if told is not None else []

    def hooked(self, instance: ContainerId, hook: Hook, error: str, now: Now) -> None:
        """Note how a hook went."""
        container = self._current(instance)
        if container is None or container.hook is not hook:
            return
        container.hook = None
        if error:
            self._record(True, f"Failed{hook.value}Hook", f"{hook.value}Hook failed: {error}", container.name)
        if hook is Hook.PRE_STOP:
            self._out += endings.terminate(container, now.monotonic)
        elif error:
            self._stop(container, now.monotonic + self._grace_s, now.monotonic, "FailedPostStartHook")
        else:
            container.probe(now.monotonic, now.monotonic, None, self._rng)

    def judged(self, verdict: gate.Verdict, now: Now) -> None:
        """Note whether the node takes the pod."""
        match verdict:
            case None:
                self.admitted, self.waiting = True, None
            case gate.Refusal(reason, message):
                self.waiting = None
                self.decided(PodFailed(self.uid, reason, message), now)
            case gate.Wait(reason, message):
                if self.waiting is None or self.waiting.reason != reason:
                    self._record(False, "Queued", f"{reason}: {message}")
                self.waiting = verdict

    def decided(self, event: PodFailed | PodHeld | HoldSet, now: Now) -> None:
        """Note what the node has decided about the pod, and what came of that."""
        match event:
            case PodFailed():
                self._fail(event)
            case PodHeld(_, hold, message) if hold is not self.holding.wanted and self.wanted:
                reason = REASONS[hold if hold > self.holding.wanted else Hold.NONE]
                self.holding.wanted, self.holding.message = hold, message
                self._record(reason != REASONS[Hold.NONE], reason, message)
            case HoldSet(_, error):
                self.holding.done(error, now.monotonic)

    def _fail(self, event: PodFailed) -> None:
        if self.removed or self._verdict is not None:
            return
        self._verdict = statuses.Verdict(statuses.FAILED, event.reason, event.message, event.disruption)
        self._hurry_s = event.grace_s
        self._stop_began = None
        if event.record:
            self._record(True, event.reason, event.message)

    # --- what is to be done ---------------------------------------------------------------------------------------

    def advance(self, now: Now, *, blocked: bool = False) -> list[Instruction]:
        """Return what is to be done now.

        Args:
            now: The current moment.
            blocked: Whether another pod of the same name has still to go.
        """
        self._check_deadline(now)
        self._show_pull_backoff(now.monotonic)
        self._settle()
        if not self.wanted:
            self._hold(now.monotonic)
            self._stop_all(now.monotonic)
        elif self.admitted and not blocked and not self.holding.frozen:
            if self._volumes.ask(now.monotonic):
                self._out.append(PrepareVolumes(self.uid))
            if self._volumes.ready:
                self._run(now.monotonic)
            self._probe(now.monotonic)
        for container in self.containers:
            self._out += endings.kill_overdue(container, now.monotonic)
        self._release()
        self._report(now)
        self._hold(now.monotonic)
        self._clear()
        out, self._out = self._out, []
        return out

    def next_timer(self) -> float | None:
        """Return the monotonic time at which :meth:`advance` has something to do, if nothing happens before."""
        times = [container.kill_at for container in self.containers if container.kill_at is not None]
        times += [self.holding.retry_at] if self.holding.retry_at is not None else []
        if self.wanted:
            if not self.holding.frozen:
                times += [at for container in self.containers if (at := _next_probe(container)) is not None]
            if self._volumes.ready and not self.holding.frozen:
                times += [container.not_before for container in self._eligible() if _startable(container)]
            times += [at for container in self.containers if (at := container.pull_backoff_at) is not None]
            times += [self._deadline] if self._deadline is not None else []
            times += [self._volumes.due_at] if self._volumes.due_at is not None else []
        return min(times, default=None)

    @property
    def deleted(self) -> bool:
        """Whether the pod is marked for deletion."""
        return "deletionTimestamp" in self.pod["metadata"]

    @property
    def begun(self) -> bool:
        """Whether a runtime knows something of the pod."""
        return any(container.current is not None for container in self.containers)

    @property
    def status(self) -> Body:
        """The status as last reported."""
        return self._status

    @property
    def wanted(self) -> bool:
        """Whether the pod is to run."""
        return not (self.deleted or self.removed or self.halted) and self._verdict is None

    @property
    def _full_name(self) -> str:
        metadata = self.pod["metadata"]
        return f"{metadata['name']}_{metadata.get('namespace', '')}({self.uid})"

    def _current(self, instance: ContainerId) -> Container | None:
        return next((container for container in self.containers if container.id == instance), None)

    def _crash_loop(self, container: Container, delay_s: float) -> Waiting:
        pod = self._full_name
        message = f"back-off {delay_s:.0f}s restarting failed container={container.name} pod={pod}"
        return Waiting("CrashLoopBackOff", message)

    # --- running --------------------------------------------------------------------------------------------------

    def _run(self, now: float) -> None:
        for container in self._eligible():
            self._keep(container, now)

    def _eligible(self) -> Iterator[Container]:
        """Yield the containers whose turn it is: each once those before it have done their part."""
        working = any(c.kind is Kind.MAIN and c.attempt >= 0 for c in self.containers)
        for container in self.containers:
            yield container
            if container.kind is Kind.INIT and not container.succeeded:
                return
            if container.kind is Kind.SIDECAR and not (container.up and container.started) and not working:
                return
            if container.coming_up:
                return

    def _keep(self, container: Container, now: float) -> None:
        if container.phase is Phase.RUNNING and container.outdated and container.kind is not Kind.INIT:
            message = f"Container {container.name} definition changed, will be restarted"
            self._stop(container, now + self._grace_s, now, message)
        if _startable(container) and now >= container.not_before:
            self._out.append(StartContainer(container.begin()))

    def _probe(self, now: float) -> None:
        for container in self.containers:
            if not container.up or container.probes is None:
                continue
            if container.probes.failed is not None:
                self._condemn(container, container.probes.failed, now)
            else:
                self._out += [RunProbe(container.id, spec) for spec in container.probes.due(now)]

    def _condemn(self, container: Container, probe: ProbeSpec, now: float) -> None:
        container.condemned = True
        grace_s = self._grace_s if probe.grace_s is None else probe.grace_s
        self._stop(container, now + grace_s, now, health.verdict_on(container, probe))

    def _show_pull_backoff(self, now: float) -> None:
        """Show for a pull that failed a while ago that the next one is waited for, as the kubelet does."""
        for container in self.containers:
            if container.pull_backoff_at is not None and now >= container.pull_backoff_at:
                container.pull_backoff_at = None
                message = f'Back-off pulling image "{container.image}"'
                container.waiting = Waiting("ImagePullBackOff", f"{message}: {container.waiting.message}")
                self._record(False, "BackOff", message, container.name)
                self._record(True, "Failed", "Error: ImagePullBackOff", container.name)

    # --- stopping -------------------------------------------------------------------------------------------------

    @property
    def _grace_s(self) -> float:
        stated = self.pod["metadata"].get("deletionGracePeriodSeconds") if self.deleted else None
        if stated is None:
            stated = self.pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
        grace_s = max(float(stated), 0.0)
        return grace_s if self._hurry_s is None else min(grace_s, self._hurry_s)

    def _stop_all(self, now: float) -> None:
        """Stop the work, then the sidecars, last started first; all within one grace period."""
        if self._stop_began is None:
            self._stop_began = now
        deadline = self._stop_began + self._grace_s
        others = [container for container in self.containers if container.kind is not Kind.SIDECAR]
        for container in others:
            self._stop(container, deadline, now, f"Stopping container {container.name}")
        if any(container.active for container in others):
            return
        for sidecar in reversed([container for container in self.containers if container.kind is Kind.SIDECAR]):
            self._stop(sidecar, max(deadline, now + LAST_MOMENT_S), now, f"Stopping container {sidecar.name}")
            if sidecar.active:
                return

    def _stop(self, container: Container, kill_at: float, now: float, why: str) -> None:
        self._out += endings.stop(container, kill_at=kill_at, now=now, why=why)

    def _set_deadline(self, now: Now) -> None:
        allowed = self.pod["spec"].get("activeDeadlineSeconds")
        if allowed is not None:
            self._deadline = now.monotonic + float(allowed) - max(now.wall - self._started_at, 0.0)

    def _check_deadline(self, now: Now) -> None:
        if self.wanted and self._deadline is not None and now.monotonic >= self._deadline:
            message = "Pod was active on the node longer than the specified deadline"
            self._verdict = statuses.Verdict(statuses.FAILED, "DeadlineExceeded", message)
            self._record(False, "DeadlineExceeded", message)

    def _hold(self, now: float) -> None:
        """Carry out the hold: after it was written down, and lifted before a pod that is to end is signalled."""
        hold = self.holding.due(now, wanted=self.wanted and not self.halted)
        if hold is not None:
            self._out.append(SetHold(self.uid, hold))

    # --- the end --------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """See whether the pod has come to its end."""
        if self._verdict is None:
            phase = statuses.phase_of(self.containers, self.pod["spec"].get("restartPolicy", "Always"))
            if phase in statuses.TERMINAL and not (self.deleted or self.removed):
                self._verdict = statuses.Verdict(phase)
                self._stop_began = None
            elif (self.deleted or self.removed) and not self.active:
                ended = [c for c in self.containers if c.kind is not Kind.SIDECAR]
                phase = statuses.SUCCEEDED if all(c.succeeded for c in ended) else statuses.FAILED
                self._verdict = statuses.Verdict(phase)

    def _release(self) -> None:
        if self._verdict is not None and not self.active and self._volumes.release():
            self._out.append(ReleaseVolumes(self.uid))

    def _report(self, now: Now) -> None:
        if self.removed:
            return
        if self._status.get("phase") not in statuses.TERMINAL:
            self._compose(now)
        if not self._reported:
            self._reported = True
            self._out.append(ReportStatus(self.uid, self._remembered()))
        if self.deleted and not self.active and not self._finished:
            self._finished = True
            self._out.append(ReportFinished(self.uid))

    def _remembered(self) -> Remembered:
        metadata = self.pod["metadata"]
        return Remembered(metadata.get("namespace", ""), metadata["name"], self._grace_s, self._status, self.deleted)

    def _compose(self, now: Now) -> None:
        verdict = self._verdict
        if verdict is None or self.active:
            # A pod that is on its way out has its final phase only once nothing runs any more.
            phase = statuses.phase_of(self.containers, self.pod["spec"].get("restartPolicy", "Always"))
            running = statuses.RUNNING if phase in statuses.TERMINAL else phase
            verdict = replace(verdict, phase=running) if verdict else statuses.Verdict(phase)
        status = statuses.pod_status(
            self.pod,
            self.containers,
            verdict,
            volumes_ready=self._volumes.ready or self.active,
            host_ip=self._host_ip,
            before=self._status,
            at=timestamp(now.wall),
        )
        status["conditions"] = self.holding.shown(status["conditions"], timestamp(now.wall))
        if self.admitted or self.waiting is not None:
            status["conditions"] = gate.shown(status["conditions"], self.waiting, timestamp(now.wall))
        if self.waiting is not None and not self.begun:
            # Nothing of it is being created: kubectl then shows it as Pending.
            status["containerStatuses"] = []
            status.pop("initContainerStatuses", None)
        if status != self._status:
            self._status = status
            self._reported = False

    def _clear(self) -> None:
        if self.removed and not self.active and not self._clearing:
            self._clearing = True
            self._out.append(ClearPod(self.uid))

    def _record(self, warning: bool, reason: str, message: str, container: str = "") -> None:
        self._out.append(RecordEvent(self.uid, warning, reason, message, container))

    @property
    def active(self) -> bool:
        """Whether anything may run."""
        return any(container.active for container in self.containers)

    def check_invariants(self) -> None:
        """Raise :class:`LocalProtocolError` if this state should be impossible."""
        for container in self.containers:
            container.check_invariants()
        if self._clearing and self.active:
            raise LocalProtocolError(f"pod {self.uid} is cleared while it runs")
        if self._volumes.released and self.active:
            raise LocalProtocolError(f"pod {self.uid} runs without its volumes")


def _next_probe(container: Container) -> float | None:
    return container.probes.next_at() if container.up and container.probes is not None else None


def _startable(container: Container) -> bool:
    return container.phase is Phase.WAITING or container.restarts
