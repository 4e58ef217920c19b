"""The pods machine: events in, instructions out, for all pods of the node.

Theory of operation. Pods are known by uid. A pod enters when the store holds it (``PodApplied``) or when a runtime
still runs something of it (``Booted``); it leaves when its object is gone and nothing is left of it (``PodCleared``).
Of several pods with one name, which a force-deletion or a quick re-creation makes, only the one that came first may
run; the next waits until it has left. What a runtime runs and the store does not know is stopped and removed, but
only once the store is known to be complete, or holds another pod of its name. A pod begins once the gate
(:mod:`edgecore.pods.gate`) has let it in, and counts there until nothing of it runs; then those that wait are asked for
again, in their order. The decisions about one pod are in :mod:`edgecore.pods.pod`, those about one container in
:mod:`edgecore.pods.containers`, with the table of transitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from random import Random

from edgecore.pods.events import (
    Booted,
    ContainerExited,
    ContainerRefused,
    ContainerStarted,
    Event,
    Found,
    HoldSet,
    HookEnded,
    HostMoved,
    Instruction,
    Now,
    PodApplied,
    PodCleared,
    PodFailed,
    PodHeld,
    PodRemoved,
    ProbeEnded,
    ReferencesChanged,
    Remembered,
    SliceCompleted,
    VolumesFailed,
    VolumesReady,
)
from edgecore.pods.gate import Gate, OpenGate, Verdict, Wait, was_admitted
from edgecore.pods.holds import Hold, Holding
from edgecore.pods.pod import PodMachine
from edgecore.pods.runtimes.base import ContainerState
from protocol.errors import LocalProtocolError
from protocol.objects.keys import Body, Uid

_PodEvent = (
    PodRemoved
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
)


class PodsMachine:
    """Decides what is to be done about every pod. Performs no I/O and reads no clock.

    After any call the driver carries out the instructions returned, those about one pod in their order, and arms
    one timer for :meth:`next_timer`.

    Args:
        host_ip: The node's address, for statuses.
        rng: Spreads the first probes of what is adopted.
        gate: Decides which pods the node takes; without one it takes all.
    """

    def __init__(self, host_ip: str, rng: Random | None = None, gate: Gate | None = None) -> None:
        self._host_ip = host_ip
        self._gate = gate or OpenGate()
        self._freed = False
        self._rng = rng or Random()
        self._pods: dict[Uid, PodMachine] = {}
        self._unclaimed: dict[Uid, list[ContainerState]] = {}
        self._remembered: dict[Uid, Remembered] = {}
        self._returning: dict[Uid, Body] = {}
        """Pods that were removed and are wanted again, by a cloud restored from a backup, before they were cleared."""

    def handle(self, event: Event, now: Now) -> list[Instruction]:
        """Take note of ``event`` and return what is to be done."""
        out = self._take(event, now)
        return out + self._fill(now)

    def _take(self, event: Event, now: Now) -> list[Instruction]:
        match event:
            case Booted():
                return self._boot(event, now)
            case Found():
                return self._find(event, now)
            case HostMoved(host_ip):
                return self._move(host_ip, now)
            case PodApplied(pod):
                return self._apply(pod, now)
            case SliceCompleted():
                return self._disown(self._unowned(), now)
            case PodCleared(uid):
                return self._drop(uid, now)
        if isinstance(event, PodRemoved):
            self._returning.pop(event.uid, None)
        known = self._pods.get(_uid_of(event))
        if known is not None:
            _tell(known, event, now)
            return self._advance(known, now)
        if isinstance(event, ContainerExited):
            self._note_unclaimed(event.state)
        return []

    def next_timer(self) -> float | None:
        """Return when to call :meth:`handle_timer`, on the monotonic clock, or None."""
        times = [pod.next_timer() for pod in self._pods.values() if not self._blocked(pod)]
        return min((at for at in times if at is not None), default=None)

    def handle_timer(self, now: Now) -> list[Instruction]:
        """Do what has become due."""
        out: list[Instruction] = []
        for pod in list(self._pods.values()):
            at = pod.next_timer()
            if at is not None and at <= now.monotonic:
                out += self._advance(pod, now)
        return out + self._fill(now)

    def stop_all(self, now: Now) -> list[Instruction]:
        """Begin to stop every pod and start none; what they are stays written down for the next agent."""
        out: list[Instruction] = []
        for pod in self._pods.values():
            pod.halted = True
            out += self._advance(pod, now)
        return out

    def get(self, uid: Uid) -> Body | None:
        """Return the pod as it is wanted, or None where it is not known."""
        pod = self._pods.get(uid)
        return None if pod is None else pod.pod

    def address(self, uid: Uid) -> str:
        """Return the pod's address as last reported; empty where it is not known."""
        pod = self._pods.get(uid)
        return "" if pod is None else str(pod.status.get("podIP") or "")

    def holds(self) -> dict[Uid, Hold]:
        """Return how far each pod that is to run is held back."""
        return {uid: pod.holding.wanted for uid, pod in self._pods.items() if pod.wanted}

    def statuses(self) -> list[tuple[Body, Body]]:
        """Return each pod with its status as last reported."""
        return [(pod.pod, pod.status) for pod in self._pods.values()]

    @property
    def idle(self) -> bool:
        """Whether nothing may be running."""
        return not any(pod.active for pod in self._pods.values())

    def check_invariants(self) -> None:
        """Raise :class:`LocalProtocolError` if this state should be impossible."""
        running: dict[tuple[str, str], Uid] = {}
        for uid, pod in self._pods.items():
            pod.check_invariants()
            if pod.uid != uid or uid in self._unclaimed:
                raise LocalProtocolError(f"pod {uid} is kept twice")
            if pod.active:
                other = running.setdefault(_name(pod.pod), uid)
                if other != uid:
                    raise LocalProtocolError(f"pods {other} and {uid} of one name run at once")

    # --- pods come and go -----------------------------------------------------------------------------------------

    def _boot(self, event: Booted, now: Now) -> list[Instruction]:
        found: dict[Uid, list[ContainerState]] = defaultdict(list)
        for state in event.found:
            found[state.id.pod].append(state)
        self._remembered = dict(event.remembered)
        self._unclaimed = dict(found)
        wanted = {pod["metadata"]["uid"] for pod in event.pods}
        # What is not wanted any more comes first, so that it stands before its successors.
        out = self._disown([uid for uid in self._unowned() if uid not in wanted], now) if event.complete else []
        for pod in sorted(event.pods, key=self._rank):
            out += self._apply(pod, now)
        return out

    def _rank(self, pod: Body) -> tuple[object, ...]:
        """Return what the pods are taken up by when the agent comes up: what had begun first."""
        uid = Uid(pod["metadata"]["uid"])
        remembered, found = self._remembered.get(uid), self._unclaimed.get(uid, ())
        running = any(state.exit is None for state in found)
        admitted = bool(found) or (remembered is not None and was_admitted(remembered.status))
        return self._gate.rank(pod, admitted=admitted, running=running)

    def _apply(self, pod: Body, now: Now) -> list[Instruction]:
        uid = Uid(pod["metadata"]["uid"])
        known = self._pods.get(uid)
        if known is not None and known.removed:
            self._returning[uid] = pod
            return []
        if known is not None:
            known.apply(pod, now)
            return self._advance(known, now)
        remembered = self._remembered.pop(uid, None)
        # A name is one pod's: who had it before is not wanted any more, and stands before this one.
        namesakes = [other for other, note in self._remembered.items() if (note.namespace, note.name) == _name(pod)]
        out = self._disown(namesakes, now)
        before = remembered.status if remembered else {}
        machine = PodMachine(pod, host_ip=self._host_ip, before=before, now=now, rng=self._rng)
        machine.adopt(self._unclaimed.pop(uid, []), now)
        if remembered is not None and remembered.deleted and not machine.deleted:
            machine.come_back()
        self._pods[uid] = machine
        if machine.wanted and (machine.begun or was_admitted(before)):
            out += self._judge(machine, self._gate.adopt(pod, running=machine.active), now)
        elif machine.active:
            self._gate.hold(pod)
        return out + self._advance(machine, now)

    def _find(self, event: Found, now: Now) -> list[Instruction]:
        states: dict[Uid, list[ContainerState]] = defaultdict(list)
        for state in event.states:
            states[state.id.pod].append(state)
        strangers = [uid for uid in states if uid not in self._pods]
        self._unclaimed.update((uid, states[uid]) for uid in strangers)
        out = self._disown(strangers, now) if event.complete else []
        for uid, pod in list(self._pods.items()):
            if uid not in strangers:
                pod.found(states.get(uid, []), now)
                out += self._advance(pod, now)
        return out

    def _move(self, host_ip: str, now: Now) -> list[Instruction]:
        """Report every pod under the node's new address."""
        self._host_ip = host_ip
        out: list[Instruction] = []
        for pod in list(self._pods.values()):
            pod.host_ip = host_ip
            out += self._advance(pod, now)
        return out

    def _unowned(self) -> list[Uid]:
        """Return the pods that a runtime or a note knows of, and the store so far does not."""
        return list({**self._unclaimed, **self._remembered})

    def _disown(self, uids: Iterable[Uid], now: Now) -> list[Instruction]:
        """Take what runs without being wanted for removed pods."""
        out: list[Instruction] = []
        for uid in uids:
            states = self._unclaimed.pop(uid, [])
            remembered = self._remembered.pop(uid, None)
            orphan = _orphan(uid, states, remembered)
            machine = PodMachine(orphan, host_ip=self._host_ip, before={}, now=now, rng=self._rng)
            machine.holding = Holding.left_by(remembered.status if remembered else {})
            machine.adopt(states, now)
            machine.removed = True
            self._pods[uid] = machine
            out += self._advance(machine, now)
        return out

    def _note_unclaimed(self, state: ContainerState) -> None:
        states = self._unclaimed.get(state.id.pod)
        if states is not None:
            self._unclaimed[state.id.pod] = [state if other.id == state.id else other for other in states]

    def _drop(self, uid: Uid, now: Now) -> list[Instruction]:
        pod = self._pods.pop(uid, None)
        if pod is None:
            return []
        out: list[Instruction] = []
        for successor in list(self._pods.values()):
            if _name(successor.pod) == _name(pod.pod):
                out += self._advance(successor, now)
        returning = self._returning.pop(uid, None)
        return out if returning is None else out + self._apply(returning, now)

    def _advance(self, pod: PodMachine, now: Now) -> list[Instruction]:
        blocked = self._blocked(pod)
        out: list[Instruction] = []
        if pod.wanted and not pod.admitted and not blocked:
            # What runs although it was not let in is found when a runtime answers late.
            judge = self._gate.adopt(pod.pod, running=True) if pod.active else self._gate.ask(pod.pod)
            out += self._judge(pod, judge, now)
        out += pod.advance(now, blocked=blocked)
        if not pod.wanted and not pod.active:
            self._freed |= self._gate.leave(pod.uid)
            pod.admitted = False
        return out

    def _judge(self, pod: PodMachine, verdict: Verdict, now: Now) -> list[Instruction]:
        """Act on what the gate says of a pod: those that it sends away make room for it."""
        pod.judged(verdict, now)
        out: list[Instruction] = []
        for uid in verdict.victims if isinstance(verdict, Wait) else ():
            victim = self._pods[uid]
            message = f"Preempted in order to admit pod {'/'.join(_name(pod.pod))}"
            victim.decided(PodFailed(uid, "Preempting", message, disruption=True), now)
            out += self._advance(victim, now)
        return out

    def _fill(self, now: Now) -> list[Instruction]:
        """Ask again for those that wait, if somebody has made room."""
        out: list[Instruction] = []
        while self._freed:
            self._freed = False
            for uid in self._gate.queue():
                out += self._advance(self._pods[uid], now)
        return out

    def _blocked(self, pod: PodMachine) -> bool:
        """Tell whether a pod of the same name was there before and is not gone yet."""
        for other in self._pods.values():
            if other is pod:
                return False
            if _name(other.pod) == _name(pod.pod):
                return True
        return False


def _name(pod: Body) -> tuple[str, str]:
    return pod["metadata"].get("namespace", ""), pod["metadata"]["name"]


def _tell(pod: PodMachine, event: _PodEvent, now: Now) -> None:
    match event:
        case PodRemoved():
            pod.removed = True
        case ReferencesChanged():
            pod.references_changed()
        case VolumesReady():
            pod.volumes_ready()
        case VolumesFailed(_, reason, message):
            pod.volumes_failed(reason, message, now)
        case ContainerStarted(state):
            pod.started(state, now)
            if state.exit is not None:
                pod.exited(state, now)
        case ContainerRefused(container, reason, message):
            pod.refused(container, reason, message, now)
        case ContainerExited(state):
            pod.exited(state, now)
        case ProbeEnded():
            pod.probed(event, now)
        case HookEnded(instance, hook, error):
            pod.hooked(instance, hook, error, now)
        case PodFailed() | PodHeld() | HoldSet():
            pod.decided(event, now)


def _uid_of(event: _PodEvent) -> Uid:
    match event:
        case ContainerRefused(container) | ProbeEnded(container) | HookEnded(container):
            return container.pod
        case ContainerStarted(state) | ContainerExited(state):
            return state.id.pod
        case _:
            return event.uid


def _orphan(uid: Uid, states: list[ContainerState], remembered: Remembered | None) -> Body:
    """Return a stand-in for a pod whose object is gone."""
    images = {state.id.name: state.image for state in states}
    spec: Body = {"containers": [{"name": name, "image": image} for name, image in images.items()]}
    if remembered is None:
        return {"metadata": {"namespace": "", "name": f"orphan-{uid}", "uid": uid}, "spec": spec}
    spec["terminationGracePeriodSeconds"] = remembered.grace_s
    return {"metadata": {"namespace": remembered.namespace, "name": remembered.name, "uid": uid}, "spec": spec}
