"""What the pods machine is told, and what it asks to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgecore.pods.holds import Hold
from edgecore.pods.lifecycles import Hook
from edgecore.pods.probes import Outcome, ProbeKind, ProbeSpec
from edgecore.pods.runtimes.base import ContainerId, ContainerState
from protocol.objects.keys import Body, Uid


@dataclass(frozen=True, slots=True)
class Now:
    """A moment on both clocks: devices without a battery-backed clock jump years when they first hear the time.

    Attributes:
        monotonic: Seconds; timers run on this one.
        wall: Seconds since the epoch; timestamps come from this one.
    """

    monotonic: float
    wall: float


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an agent writes down of a pod for the one after it.

    Attributes:
        namespace: The pod's namespace.
        name: Its name.
        grace_s: How long it may take to stop.
        status: Its last status.
        deleted: Whether it was marked for deletion.
    """

    namespace: str
    name: str
    grace_s: float
    status: Body
    deleted: bool = False


# --- events: what has happened ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HostMoved:
    """The node has another address.

    Attributes:
        host_ip: Which.
    """

    host_ip: str


@dataclass(frozen=True, slots=True)
class Booted:
    """The agent has come up. Comes first, once.

    Attributes:
        pods: What the store holds.
        found: Every instance the runtimes know.
        remembered: What was written down of each pod, by uid.
        complete: Whether the store is known to hold all that is wanted.
    """

    pods: Sequence[Body]
    found: Sequence[ContainerState]
    remembered: Mapping[Uid, Remembered] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """A runtime that did not answer when the agent came up has been opened after all.

    Attributes:
        states: Every instance it knows.
        complete: Whether the store is known to hold all that is wanted.
    """

    states: Sequence[ContainerState]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class PodApplied:
    """A pod is wanted as ``pod`` says; new or changed."""

    pod: Body


@dataclass(frozen=True, slots=True)
class PodRemoved:
    """The pod's object is gone from this node's slice: deleted by force, moved away, or replaced."""

    uid: Uid


@dataclass(frozen=True, slots=True)
class SliceCompleted:
    """The store is now known to hold all that is wanted."""


@dataclass(frozen=True, slots=True)
class ReferencesChanged:
    """Something the pod names has come, changed or gone."""

    uid: Uid


@dataclass(frozen=True, slots=True)
class VolumesReady:
    """Answer to :class:`PrepareVolumes`."""

    uid: Uid


@dataclass(frozen=True, slots=True)
class VolumesFailed:
    """Answer to :class:`PrepareVolumes`: not now, because of ``message``; event reason ``reason``."""

    uid: Uid
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ContainerStarted:
    """Answer to :class:`StartContainer`."""

    state: ContainerState


@dataclass(frozen=True, slots=True)
class ContainerRefused:
    """Answer to :class:`StartContainer`: no instance was made."""

    container: ContainerId
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ContainerExited:
    """An instance has ended."""

    state: ContainerState


@dataclass(frozen=True, slots=True)
class ProbeEnded:
    """Answer to :class:`RunProbe`.

    Attributes:
        container: The instance.
        kind: Which probe it was.
        outcome: How it went.
        message: What it said, for people; already cut to a line's length.
    """

    container: ContainerId
    kind: ProbeKind
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True)
class HookEnded:
    """Answer to :class:`RunHook`; ``error`` is empty where it went well."""

    container: ContainerId
    hook: Hook
    error: str = ""


@dataclass(frozen=True, slots=True)
class PodFailed:
    """The node ends the pod, or refuses to begin it: its phase becomes Failed and it is never started again.

    Ignored for a pod that has come to its end already. It is written down, so that later agents keep to it.

    Attributes:
        uid: The pod.
        reason: ``status.reason`` and the Event's: ``Evicted``, ``OutOfcpu``, ….
        message: For people.
        grace_s: The most it may take to stop, seconds; None leaves that to the pod.
        disruption: Whether the node ends it for its own sake, which the condition ``DisruptionTarget`` tells.
        record: Whether an Event is made of it.
    """

    uid: Uid
    reason: str
    message: str
    grace_s: float | None = None
    disruption: bool = False
    record: bool = True


@dataclass(frozen=True, slots=True)
class PodHeld:
    """The pod is to be slowed down, paused, or let go again, because of ``message``.

    Attributes:
        uid: The pod.
        hold: How far.
        message: For people.
    """

    uid: Uid
    hold: Hold
    message: str


@dataclass(frozen=True, slots=True)
class HoldSet:
    """Answer to :class:`SetHold`; ``error`` is empty where it was carried out."""

    uid: Uid
    error: str = ""


@dataclass(frozen=True, slots=True)
class PodCleared:
    """Answer to :class:`ClearPod`: nothing is left of the pod on this node."""

    uid: Uid


Event = (
    Booted
    | Found
    | HostMoved
    | PodApplied
    | PodRemoved
    | SliceCompleted
    | ReferencesChanged
    | VolumesReady
    | VolumesFailed
    | ContainerStarted
    | ContainerRefused
    | ContainerExited
    | ProbeEnded
    | HookEnded
    | PodFailed
    | PodHeld
    | HoldSet
    | PodCleared
)


# --- instructions: what is to be done -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrepareVolumes:
    """Bring the pod's volumes to disk, or up to date; answer with VolumesReady or VolumesFailed."""

    uid: Uid


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Start the instance; answer with ContainerStarted or ContainerRefused."""

    container: ContainerId


@dataclass(frozen=True, slots=True)
class SignalContainer:
    """Send a signal to the instance; its end comes as ContainerExited."""

    container: ContainerId
    number: int


@dataclass(frozen=True, slots=True)
class RunProbe:
    """Probe the instance; answer with ProbeEnded."""

    container: ContainerId
    spec: ProbeSpec


@dataclass(frozen=True, slots=True)
class RunHook:
    """Run a hook of the instance; answer with HookEnded.

    Attributes:
        container: The instance.
        hook: Which.
        action: Its handler, which holds one of ``exec``, ``httpGet`` and ``sleep``.
        timeout_s: It is given up after so many seconds.
    """

    container: ContainerId
    hook: Hook
    action: Body
    timeout_s: float


@dataclass(frozen=True, slots=True)
class SetHold:
    """Slow the pod down, pause it, or let it go; answer with HoldSet. Idempotent."""

    uid: Uid
    hold: Hold


@dataclass(frozen=True, slots=True)
class ReleaseVolumes:
    """The pod will run nothing any more: take its volumes off the disk."""

    uid: Uid


@dataclass(frozen=True, slots=True)
class ClearPod:
    """Remove every trace of the pod; answer with PodCleared."""

    uid: Uid


@dataclass(frozen=True, slots=True)
class ReportStatus:
    """Write the pod's status down, then report it."""

    uid: Uid
    remembered: Remembered


@dataclass(frozen=True, slots=True)
class ReportFinished:
    """Report that the pod, which is being deleted, has stopped fully."""

    uid: Uid


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """Record a core/v1 Event about the pod.

    Attributes:
        uid: The pod.
        warning: Whether its type is ``Warning``; ``Normal`` otherwise.
        reason: CamelCase.
        message: For people.
        container: The container it is about, or empty.
    """

    uid: Uid
    warning: bool
    reason: str
    message: str
    container: str = ""


Instruction = (
    PrepareVolumes
    | StartContainer
    | SignalContainer
    | RunProbe
    | RunHook
    | SetHold
    | ReleaseVolumes
    | ClearPod
    | ReportStatus
    | ReportFinished
    | RecordEvent
)
