"""One pod's part of the machine: brings its containers to where the pod's spec, and its end, want them.

Level-based: every event only notes what is so; then :meth:`PodMachine.advance` compares what is with what is wanted
and asks for the difference, once. So an event that comes late, twice or in another order changes nothing. In which
order its containers come and go is in :mod:`edgecore.pods.sequence`.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

from edgecore.pods import gate
from edgecore.pods import status as statuses
from edgecore.pods.containers import Waiting
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
    SetHold,
)
from edgecore.pods.holds import REASONS, Hold, Holding
from edgecore.pods.lifecycles import Hook
from edgecore.pods.preparation import Preparation
from edgecore.pods.runtimes.base import ContainerId, ContainerState
from edgecore.pods.sequence import ContainerSequence
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
        self.removed = False
        self.halted = False
        self.host_ip = host_ip
        self._status = before
        # A report that was due when the agent died may be lost: each pod is reported once after each start.
        self._reported = False
        self._out: list[Instruction] = []
        self._sequence = ContainerSequence(pod, self._out, rng)
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
        self._sequence.adopt(found, self._status, now)

    def found(self, states: list[ContainerState], now: Now) -> None:
        """Take over what a runtime knows that could not be asked before; nothing of it was started since then."""
        self._sequence.found(states, self._status, now)

    def apply(self, pod: Body, now: Now) -> None:
        """Note that the pod is now wanted as ``pod`` says."""
        if self.deleted and "deletionTimestamp" not in pod["metadata"]:
            self.come_back()
        if any(pod["metadata"].get(part) != self.pod["metadata"].get(part) for part in ("labels", "annotations")):
            self._volumes.references_changed()  # those that show the pod's own fields
        self.pod = pod
        self._sequence.apply(pod)
        self._set_deadline(now)

    def come_back(self) -> None:
        """Forget the deletion: a cloud restored from a backup wants the pod again. An end of its own stays one."""
        self._stop_began, self._finished = None, False
        phase = statuses.phase_of(self._sequence.containers, self.pod["spec"].get("restartPolicy", "Always"))
        if self._verdict is None or self._verdict.reason or phase in statuses.TERMINAL:
            return
        self._verdict = None
        self._status = {name: value for name, value in self._status.items() if name != "phase"}
        if self._volumes.released:
            self._volumes = Preparation()

    def references_changed(self) -> None:
        """Note that something the pod names has come, changed or gone."""
        self._volumes.references_changed()
        self._sequence.references_changed()

    def volumes_ready(self) -> None:
        """Note that the volumes are on disk."""
        self._volumes.succeeded()

    def volumes_failed(self, reason: str, message: str, now: Now) -> None:
        """Note that the volumes cannot be had now."""
        self._record(True, reason, message)
        self._volumes.failed(now.monotonic)

    def started(self, state: ContainerState, now: Now) -> None:
        """Note that an instance runs (or has ended already)."""
        self._sequence.started(state, now.monotonic)

    def refused(self, instance: ContainerId, reason: str, message: str, now: Now) -> None:
        """Note that an instance could not be started."""
        self._sequence.refused(instance, Waiting(reason, message), self._status, now)

    def exited(self, state: ContainerState, now: Now) -> None:
        """Note that an instance has ended."""
        self._sequence.exited(state, now.monotonic, wanted=self.wanted)

    def probed(self, event: ProbeEnded, now: Now) -> None:
        """Note how a probe went."""
        self._sequence.probed(event, now.monotonic, frozen=self.holding.frozen)

    def hooked(self, instance: ContainerId, hook: Hook, error: str, now: Now) -> None:
        """Note how a hook went."""
        self._sequence.hooked(instance, hook, error, now.monotonic, grace_s=self._grace_s)

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
        self._sequence.show_pull_backoff(now.monotonic)
        self._settle()
        if not self.wanted:
            self._hold(now.monotonic)
            self._stop_all(now.monotonic)
        elif self.admitted and not blocked and not self.holding.frozen:
            if self._volumes.ask(now.monotonic):
                self._out.append(PrepareVolumes(self.uid))
            if self._volumes.ready:
                self._sequence.run(now.monotonic, grace_s=self._grace_s)
            self._sequence.probe(now.monotonic, grace_s=self._grace_s)
        self._sequence.kill_overdue(now.monotonic)
        self._release()
        self._report(now)
        self._hold(now.monotonic)
        self._clear()
        out = self._out.copy()
        self._out.clear()  # the same list is the sequence's
        return out

    def next_timer(self) -> float | None:
        """Return the monotonic time at which :meth:`advance` has something to do, if nothing happens before."""
        times = self._sequence.kills_at()
        times += [self.holding.retry_at] if self.holding.retry_at is not None else []
        if self.wanted:
            if not self.holding.frozen:
                times += self._sequence.probes_at()
                times += self._sequence.starts_at() if self._volumes.ready else []
            times += self._sequence.pulls_shown_at()
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
        return self._sequence.begun

    @property
    def status(self) -> Body:
        """The status as last reported."""
        return self._status

    @property
    def wanted(self) -> bool:
        """Whether the pod is to run."""
        return not (self.deleted or self.removed or self.halted) and self._verdict is None

    # --- stopping -------------------------------------------------------------------------------------------------

    @property
    def _grace_s(self) -> float:
        stated = self.pod["metadata"].get("deletionGracePeriodSeconds") if self.deleted else None
        if stated is None:
            stated = self.pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
        grace_s = max(float(stated), 0.0)
        return grace_s if self._hurry_s is None else min(grace_s, self._hurry_s)

    def _stop_all(self, now: float) -> None:
        if self._stop_began is None:
            self._stop_began = now
        self._sequence.stop_all(self._stop_began + self._grace_s, now)

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
            phase = statuses.phase_of(self._sequence.containers, self.pod["spec"].get("restartPolicy", "Always"))
            if phase in statuses.TERMINAL and not (self.deleted or self.removed):
                self._verdict = statuses.Verdict(phase)
                self._stop_began = None
            elif (self.deleted or self.removed) and not self.active:
                self._verdict = statuses.Verdict(statuses.phase_at_end(self._sequence.containers))

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
            phase = statuses.phase_of(self._sequence.containers, self.pod["spec"].get("restartPolicy", "Always"))
            running = statuses.RUNNING if phase in statuses.TERMINAL else phase
            verdict = replace(verdict, phase=running) if verdict else statuses.Verdict(phase)
        status = statuses.pod_status(
            self.pod,
            self._sequence.containers,
            verdict,
            volumes_ready=self._volumes.ready or self.active,
            host_ip=self.host_ip,
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

    def _record(self, warning: bool, reason: str, message: str) -> None:
        self._out.append(RecordEvent(self.uid, warning, reason, message))

    @property
    def active(self) -> bool:
        """Whether anything may run."""
        return self._sequence.active

    def check_invariants(self) -> None:
        """Raise :class:`LocalProtocolError` if this state should be impossible."""
        self._sequence.check_invariants()
        if self._clearing and self.active:
            raise LocalProtocolError(f"pod {self.uid} is cleared while it runs")
        if self._volumes.released and self.active:
            raise LocalProtocolError(f"pod {self.uid} runs without its volumes")
