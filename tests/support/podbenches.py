"""A pods machine with a host of the test's making: what it is told to do is done at once, unless held back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from edgecore.pods.events import (
    Booted,
    ClearPod,
    ContainerExited,
    ContainerRefused,
    ContainerStarted,
    Event,
    HoldSet,
    HookEnded,
    Instruction,
    Now,
    PodCleared,
    PrepareVolumes,
    ProbeEnded,
    RecordEvent,
    Remembered,
    ReportStatus,
    RunHook,
    RunProbe,
    SetHold,
    SignalContainer,
    StartContainer,
    VolumesFailed,
    VolumesReady,
)
from edgecore.pods.holds import Hold
from edgecore.pods.machine import PodsMachine
from edgecore.pods.probes import Outcome
from edgecore.pods.runtimes.base import ContainerId, ContainerState, Exit
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body, Uid

WALL = 1_800_000_000.0


@dataclass
class Bench:
    """A machine with a host that does as it is told, unless held back.

    Attributes:
        health: How probes go, by kind; None hangs. Others succeed.
        hooks: What goes wrong with hooks, by name; None hangs. Others go well.
        hold_error: Why pods cannot be held back; empty where they can.
        held: How far each pod was last held back.
    """

    machine: PodsMachine = field(default_factory=lambda: PodsMachine("10.0.0.7", Random(1)))
    time: float = 100.0
    volumes_missing: bool = False
    refusal: str = ""
    kills_work: bool = False
    states: dict[ContainerId, ContainerState] = field(default_factory=dict)
    statuses: dict[str, Body] = field(default_factory=dict)
    notes: dict[Uid, Remembered] = field(default_factory=dict)
    log: list[Instruction] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    health: dict[str, Outcome | None] = field(default_factory=dict)
    hooks: dict[str, str | None] = field(default_factory=dict)
    hold_error: str = ""
    held: dict[Uid, Hold] = field(default_factory=dict)

    @property
    def now(self) -> Now:
        return Now(self.time, WALL + self.time)

    def boot(self, *pods: Body, complete: bool = True) -> None:
        self._settle(self.machine.handle(Booted(pods, list(self.states.values()), self.notes, complete), self.now))

    def reboot_agent(self, *pods: Body, complete: bool = True) -> None:
        self.machine = PodsMachine("10.0.0.7", Random(1))
        self.log.clear()
        self.boot(*pods, complete=complete)

    def tell(self, *events: Event) -> None:
        for event in events:
            self._settle(self.machine.handle(event, self.now))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with every timer on the way."""
        end = self.time + seconds
        while (at := self.machine.next_timer()) is not None and at <= end:
            assert at >= self.time - 1e-9 or at <= self.time
            self.time = max(self.time, at)
            before = (self.time, self.machine.next_timer())
            self._settle(self.machine.handle_timer(self.now))
            assert (self.time, self.machine.next_timer()) != before, "a timer that does nothing would spin"
        self.time = end

    def exit(self, name: str = "main", code: int = 0, uid: str = "u1", signal: int = 0) -> None:
        running = [s for s in self.states.values() if s.exit is None and s.id.name == name and s.id.pod == uid]
        (state,) = running
        reason = "Completed" if code == 0 else "Error"
        ended = replace(state, exit=Exit(WALL + self.time, code, signal, reason))
        self.states[state.id] = ended
        self.tell(ContainerExited(ended))

    def running(self) -> list[tuple[str, int]]:
        return [(state.id.name, state.id.attempt) for state in self.states.values() if state.exit is None]

    def status(self, uid: str = "u1") -> Body:
        return self.statuses[uid]

    def container(self, name: str = "main", uid: str = "u1") -> Body:
        status = self.statuses[uid]
        both = [*status.get("initContainerStatuses", ()), *status["containerStatuses"]]
        return next(one for one in both if one["name"] == name)

    def condition(self, kind: str, uid: str = "u1") -> str:
        found = find_condition(self.statuses[uid]["conditions"], kind)
        assert found is not None
        return str(found["status"])

    def reasons(self) -> list[str]:
        return [one.reason for one in self.log if isinstance(one, RecordEvent)]

    def said(self) -> list[tuple[str, str]]:
        return [(one.reason, one.message) for one in self.log if isinstance(one, RecordEvent)]

    def probed(self) -> list[str]:
        return [one.spec.kind.value for one in self.log if isinstance(one, RunProbe)]

    def signals(self) -> list[tuple[str, int]]:
        return [(one.container.name, one.number) for one in self.log if isinstance(one, SignalContainer)]

    def _settle(self, instructions: list[Instruction]) -> None:
        queue = list(instructions)
        while queue:
            self.machine.check_invariants()
            instruction = queue.pop(0)
            self.log.append(instruction)
            for event in self._answers(instruction):
                queue += self.machine.handle(event, self.now)
        self.machine.check_invariants()

    def _answers(self, instruction: Instruction) -> Iterator[Event]:
        match instruction:
            case PrepareVolumes(uid):
                yield VolumesFailed(uid, "FailedMount", "missing") if self.volumes_missing else VolumesReady(uid)
            case StartContainer(container):
                yield self._start(container)
            case SignalContainer(container, 9) if self.kills_work and self.states[container].exit is None:
                ended = replace(self.states[container], exit=Exit(WALL + self.time, 137, 9, "Error"))
                self.states[container] = ended
                yield ContainerExited(ended)
            case RunProbe(container, spec):
                outcome = self.health.get(spec.kind.value, Outcome.SUCCESS)
                if outcome is not None:
                    yield ProbeEnded(container, spec.kind, outcome, "the answer")
            case RunHook(container, hook):
                error = self.hooks.get(hook.value, "")
                if error is not None:
                    yield HookEnded(container, hook, error)
            case SetHold(uid, hold):
                if not self.hold_error:
                    self.held[uid] = hold
                yield HoldSet(uid, self.hold_error)
            case ReportStatus(uid, note):
                self.statuses[uid] = note.status
                self.notes[uid] = note
            case ClearPod(uid):
                assert not [state for state in self.states.values() if state.id.pod == uid and state.exit is None]
                self.states = {key: state for key, state in self.states.items() if key.pod != uid}
                self.notes.pop(uid, None)
                yield PodCleared(uid)

    def _start(self, container: ContainerId) -> Event:
        if self.refusal:
            return ContainerRefused(container, self.refusal, "cannot")
        assert container not in self.states, "an instance was started twice"
        pod = self.machine.get(container.pod)
        assert pod is not None
        specs = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
        image = next(one["image"] for one in specs if one["name"] == container.name)
        runtime_id = f"process://{container.name}-{container.attempt}"
        self.states[container] = ContainerState(container, image, "", runtime_id, WALL + self.time)
        return ContainerStarted(self.states[container])
