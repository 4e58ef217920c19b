"""The life of one container: which instance is current, what may happen to it next, when it may start again."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType
from typing import Final

from edgecore.pods.lifecycles import PLAIN, Hook, Lifecycle, lifecycle_of
from edgecore.pods.probes import Known, Probes, ProbeSpec, probes_of
from edgecore.pods.runtimes.base import ContainerId, ContainerState, Exit
from protocol.backoff import UNATTENDED
from protocol.errors import LocalProtocolError
from protocol.objects.keys import Body, Uid

PULL_ERROR_SHOWN_S: Final = 3.0
"""For so long a failed pull shows as what it is, and then as waiting for the next."""
IMAGE_REASONS: Final = frozenset({"ErrImagePull", "ErrImageNeverPull", "InvalidImageName"})
"""Reasons of refused starts that lie with the image; their Events name them, as the kubelet's do."""
NODE_RETRY: Final = replace(UNATTENDED, initial_delay_s=2.0, max_delay_s=20.0)
"""For what the node could not do, a Docker daemon that is away say: no fault of the container, and dear to nobody."""
UNAVAILABLE: Final = "RuntimeUnavailable"
"""Reason of a refused start: what would run the container does not answer."""
LOST_REASON: Final = "ContainerStatusUnknown"
"""Of an instance whose end nobody saw: the device lost power, or its witness was killed with it."""
BACKOFF_RESET_S: Final = 600.0
"""A run this long ends a crash loop: the next restart is immediate again."""


class Kind(enum.Enum):
    """What a container is for."""

    INIT = "runs to completion before those after it"
    SIDECAR = "a restartable init container: runs beside, started in order, stopped last"
    MAIN = "the pod's work"


class Phase(enum.Enum):
    """Where a container stands."""

    WAITING = "no instance was started yet"
    CREATING = "the runtime was asked to start an instance"
    RUNNING = "the current instance runs"
    STOPPING = "the current instance was told to end"
    EXITED = "the current instance has ended"


class Stimulus(enum.Enum):
    """What can happen to a container."""

    START = "the pod wants a new instance"
    STARTED = "the runtime has started it"
    REFUSED = "the runtime could not start it"
    FELL_BACK = "the runtime could not start it, and an earlier instance is the newest there is"
    STOP = "the pod wants it to end"
    EXITED = "it has ended"


TRANSITIONS: Final[Mapping[tuple[Phase, Stimulus], Phase]] = MappingProxyType(
    {
        (Phase.WAITING, Stimulus.START): Phase.CREATING,
        (Phase.CREATING, Stimulus.STARTED): Phase.RUNNING,
        (Phase.CREATING, Stimulus.REFUSED): Phase.WAITING,
        (Phase.CREATING, Stimulus.FELL_BACK): Phase.EXITED,
        # The exit may be heard before the answer to the start.
        (Phase.CREATING, Stimulus.EXITED): Phase.EXITED,
        (Phase.RUNNING, Stimulus.STOP): Phase.STOPPING,
        (Phase.RUNNING, Stimulus.EXITED): Phase.EXITED,
        (Phase.STOPPING, Stimulus.EXITED): Phase.EXITED,
        (Phase.EXITED, Stimulus.START): Phase.CREATING,
    }
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container has no running instance: ``state.waiting`` of its status."""

    reason: str
    message: str = ""


CREATING: Final = Waiting("ContainerCreating")
_HOOKED_IN: Final = MappingProxyType({Hook.POST_START: Phase.RUNNING, Hook.PRE_STOP: Phase.STOPPING})


@dataclass(slots=True)
class Container:
    """One container of a pod.

    Attributes:
        pod: The pod's uid.
        name: Its name.
        kind: What it is for.
        image: As the pod states it now.
        restart_policy: The policy that holds for it: ``Always``, ``OnFailure`` or ``Never``.
        phase: Where it stands.
        attempt: The current instance's number; -1 before the first.
        current: The current instance, once the runtime has named it.
        previous: The last instance that ended before the current one.
        waiting: Why there is no instance, while there is none running.
        not_before: Monotonic time of the earliest start, seconds.
        backoff_s: The delay before the next restart.
        kill_at: Monotonic time at which a stopping instance is killed, or None.
        kill_floor: Monotonic time before which a stopping instance is not killed.
        failures: Refused starts in a row.
        pull_backoff_at: Monotonic time from which on a failed pull shows as ``ImagePullBackOff``, or None.
        probe_specs: How an instance is probed.
        lifecycle: What is done at an instance's start and end.
        probes: The probes of the current instance, from when it is up.
        hook: The hook of the current instance that is under way, or None.
        condemned: Whether the current instance is stopped for having failed a probe.
    """

    pod: Uid
    name: str
    kind: Kind
    image: str
    restart_policy: str
    phase: Phase = Phase.WAITING
    attempt: int = -1
    current: ContainerState | None = None
    previous: ContainerState | None = None
    waiting: Waiting = CREATING
    not_before: float = 0.0
    backoff_s: float = 0.0
    kill_at: float | None = None
    kill_floor: float = 0.0
    failures: int = 0
    pull_backoff_at: float | None = None
    probe_specs: tuple[ProbeSpec, ...] = ()
    lifecycle: Lifecycle = PLAIN
    probes: Probes | None = None
    hook: Hook | None = None
    condemned: bool = False

    @property
    def id(self) -> ContainerId:
        """The current instance's name."""
        return ContainerId(self.pod, self.name, self.attempt)

    @property
    def active(self) -> bool:
        """Whether there may be a process."""
        return self.phase in (Phase.CREATING, Phase.RUNNING, Phase.STOPPING)

    @property
    def exit(self) -> Exit | None:
        """How the current instance ended, or None while it has not."""
        return self.current.exit if self.current is not None and self.phase is Phase.EXITED else None

    @property
    def succeeded(self) -> bool:
        """Whether the current instance ended with exit code 0."""
        return self.exit is not None and self.exit.exit_code == 0

    @property
    def up(self) -> bool:
        """Whether the current instance runs, its postStart hook behind it, and has not been told to end."""
        return self.phase is Phase.RUNNING and self.hook is None

    @property
    def coming_up(self) -> bool:
        """Whether its postStart hook is under way or about to be: those after it wait for that."""
        return self.lifecycle.post_start is not None and (self.phase is Phase.CREATING or self.hook is Hook.POST_START)

    @property
    def started(self) -> bool:
        """Whether the current instance has come up: its postStart hook and its startup probe have succeeded."""
        running = self.phase in (Phase.RUNNING, Phase.STOPPING)
        return running and self.probes is not None and self.probes.started

    @property
    def ready(self) -> bool:
        """Whether the current instance can be given work."""
        return self.up and self.probes is not None and self.probes.ready

    @property
    def outdated(self) -> bool:
        """Whether the current instance was started from another image than the pod states now."""
        return self.current is not None and self.current.image != self.image

    @property
    def restarts(self) -> bool:
        """Whether an ended instance is to be followed by another."""
        if self.exit is None:
            return False
        if self.condemned:
            return self.restart_policy != "Never"
        if self.restart_policy == "Always" or (self.outdated and self.kind is not Kind.INIT):
            return True
        return self.restart_policy == "OnFailure" and not self.succeeded

    def move(self, stimulus: Stimulus) -> None:
        """Take the transition of ``stimulus``.

        Raises:
            LocalProtocolError: The table has none from here.
        """
        try:
            self.phase = TRANSITIONS[self.phase, stimulus]
        except KeyError:
            raise LocalProtocolError(f"container {self.name}: {stimulus.name} while {self.phase.name}") from None

    def begin(self) -> ContainerId:
        """Move on to a new instance and return its name."""
        if self.current is not None and self.phase is Phase.EXITED:
            self.previous = self.current
        self.move(Stimulus.START)
        self.attempt += 1
        self.current = None
        self.kill_at, self.kill_floor, self.condemned = None, 0.0, False
        self.pull_backoff_at = None
        if not self.failures:
            self.waiting = CREATING
        return self.id

    def run(self, state: ContainerState) -> None:
        """Note that the current instance runs."""
        self.move(Stimulus.STARTED)
        self.current = state
        self.waiting, self.failures = CREATING, 0
        self.hook = Hook.POST_START if self.lifecycle.post_start else None

    def probe(self, began_at: float, now: float, known: Known | None, rng: Random) -> None:
        """Begin to probe the current instance. Times are monotonic, seconds."""
        self.probes = Probes(self.probe_specs, began_at=began_at, now=now, known=known, rng=rng)

    def refuse(self, waiting: Waiting, now: float) -> None:
        """Note that the runtime made no instance; the number is used again."""
        if self.previous is None:
            self.move(Stimulus.REFUSED)
        else:
            self.move(Stimulus.FELL_BACK)
            self.current, self.previous = self.previous, None
        self.attempt -= 1
        self.waiting = waiting
        self.pull_backoff_at = now + PULL_ERROR_SHOWN_S if waiting.reason == "ErrImagePull" else None
        policy = NODE_RETRY if waiting.reason == UNAVAILABLE else UNATTENDED
        self.not_before = now + policy.bound_s(self.failures)
        self.failures += 1

    def end(self, state: ContainerState, now: float) -> None:
        """Note how the current instance ended, and decide when the next may start."""
        assert state.exit is not None
        self.move(Stimulus.EXITED)
        self.current = state
        self.kill_at, self.hook, self.probes = None, None, None
        self.waiting, self.failures = CREATING, 0
        if state.exit.finished_at - state.started_at >= BACKOFF_RESET_S:
            self.backoff_s = 0.0
        self.delay_restart(now)

    def delay_restart(self, now: float) -> None:
        """Set the earliest time of a restart: at once the first time, then 10 s doubling to 300 s."""
        self.not_before = now + self.backoff_s
        self.backoff_s = _next_delay_s(self.backoff_s)

    def adopt(self, states: list[ContainerState], now: float, wall: float) -> None:
        """Take over the instances that the runtime knows, in order of attempts."""
        self.current = states[-1]
        self.previous = states[-2] if len(states) > 1 else None
        self.attempt = self.current.id.attempt
        if self.current.exit is None:
            self.phase = Phase.RUNNING
            return
        self.phase = Phase.EXITED
        # The delay that was due is worked out again from the number of restarts.
        ran_s = self.current.exit.finished_at - self.current.started_at
        # What the node lost, in a power cut say, is no crash of the container: it does not wait for that.
        lost = self.current.exit.reason == LOST_REASON
        level = 0 if lost or ran_s >= BACKOFF_RESET_S else min(self.attempt, 6)
        delay = UNATTENDED.bound_s(level - 1) if level else 0.0
        waited = min(max(wall - self.current.exit.finished_at, 0.0), delay)
        self.not_before = now + delay - waited
        self.backoff_s = _next_delay_s(delay)

    def check_invariants(self) -> None:
        """Raise :class:`LocalProtocolError` if this state should be impossible."""
        where = f"{self.name} is {self.phase.name}"
        if self.phase in (Phase.RUNNING, Phase.STOPPING, Phase.EXITED) and self.current is None:
            raise LocalProtocolError(f"{where} without an instance")
        if (self.kill_at is not None) != (self.phase is Phase.STOPPING):
            raise LocalProtocolError(f"{where} with kill_at {self.kill_at}")
        if self.hook is not None and _HOOKED_IN[self.hook] is not self.phase:
            raise LocalProtocolError(f"{where} with hook {self.hook.name}")
        if self.probes is not None:
            self.probes.check_invariants()
            if self.phase not in (Phase.RUNNING, Phase.STOPPING):
                raise LocalProtocolError(f"{where} and probed")


def containers_of(pod: Body) -> list[Container]:
    """Return the pod's containers in the order they start."""
    uid = pod["metadata"]["uid"]
    spec = pod["spec"]
    policy = spec.get("restartPolicy", "Always")
    found = [
        _lasting(uid, entry, Kind.SIDECAR, "Always")
        if entry.get("restartPolicy") == "Always"
        # An init container of a pod that restarts its work is itself retried until it succeeds, not after.
        else Container(uid, entry["name"], Kind.INIT, entry.get("image", ""), init_policy(policy))
        for entry in spec.get("initContainers") or ()
    ]
    return found + [_lasting(uid, entry, Kind.MAIN, policy) for entry in spec["containers"]]


def _lasting(uid: Uid, entry: Body, kind: Kind, policy: str) -> Container:
    """Return a container that has probes and hooks, which what runs to completion before others has not."""
    image = entry.get("image", "")
    return Container(
        uid, entry["name"], kind, image, policy, probe_specs=probes_of(entry), lifecycle=lifecycle_of(entry)
    )


def init_policy(policy: str) -> str:
    """Return the restart policy of an init container in a pod with ``policy``."""
    return "Never" if policy == "Never" else "OnFailure"


def _next_delay_s(delay_s: float) -> float:
    return min(max(delay_s * UNATTENDED.factor, UNATTENDED.initial_delay_s), UNATTENDED.max_delay_s)
