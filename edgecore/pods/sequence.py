"""The containers of one pod together: whose turn it is to start, who is probed, and who has still to be stopped.

Init containers run one after another, sidecars stay up beside what comes after them, and the way back is the reverse.
What one container does is in :mod:`edgecore.pods.containers`; whether the pod is wanted at all is decided in
:mod:`edgecore.pods.pod`, which says so with each call.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from edgecore.pods import endings, health
from edgecore.pods.containers import IMAGE_REASONS, Container, Kind, Phase, Waiting, containers_of
from edgecore.pods.endings import SIGKILL
from edgecore.pods.events import (
    Instruction,
    Now,
    ProbeEnded,
    RecordEvent,
    RunHook,
    RunProbe,
    SignalContainer,
    StartContainer,
)
from edgecore.pods.lifecycles import LAST_MOMENT_S, POST_START_MAX_S, Hook
from edgecore.pods.probes import Outcome, ProbeSpec
from edgecore.pods.runtimes.base import ContainerId, ContainerState
from protocol.objects.keys import Body, Uid


class ContainerSequence:
    """A pod's containers, in the order they start. Performs no I/O and reads no clock. Times are monotonic, seconds.

    Args:
        pod: The pod; its name and uid never change.
        out: Takes what is to be done, in order.
        rng: Spreads the first probes of what is adopted.
    """

    def __init__(self, pod: Body, out: list[Instruction], rng: Random) -> None:
        metadata = pod["metadata"]
        self._uid = Uid(metadata["uid"])
        self._pod_name = f"{metadata['name']}_{metadata.get('namespace', '')}({self._uid})"
        self._out = out
        self._rng = rng
        self._late: list[ContainerState] = []
        self.containers: list[Container] = containers_of(pod)

    @property
    def active(self) -> bool:
        """Whether anything may run."""
        return any(container.active for container in self.containers)

    @property
    def begun(self) -> bool:
        """Whether a runtime knows something of the pod."""
        return any(container.current is not None for container in self.containers)

    def check_invariants(self) -> None:
        """Raise :class:`protocol.errors.LocalProtocolError` if this state should be impossible."""
        for container in self.containers:
            container.check_invariants()

    # --- what has happened ----------------------------------------------------------------------------------------

    def adopt(self, found: list[ContainerState], status: Body, now: Now) -> None:
        """Take over what the runtime knows of the pod.

        Args:
            found: Instances of any container and attempt.
            status: What was last reported of the pod: from there its probes go on.
            now: The current moment.
        """
        for container in self.containers:
            states = sorted((s for s in found if s.id.name == container.name), key=lambda state: state.id.attempt)
            if states:
                container.adopt(states, now.monotonic, now.wall)
                self._probe_adopted(container, status, now)
        named = {container.name for container in self.containers}
        for state in found:
            if state.id.name not in named and state.exit is None:
                self._out.append(SignalContainer(state.id, SIGKILL))
        for container in self.containers:
            if container.restarts and container.not_before > now.monotonic:
                container.waiting = self._crash_loop(container, container.not_before - now.monotonic)

    def found(self, states: list[ContainerState], status: Body, now: Now) -> None:
        """Take over what a runtime knows that could not be asked before; nothing of it was started since then."""
        fresh = [container for container in self.containers if container.phase is Phase.WAITING]
        busy = {container.name for container in self.containers if container.phase is Phase.CREATING}
        # What is just being started is refused, and taken over then.
        self._late = [state for state in states if state.id.name in busy]
        self.adopt([state for state in states if state.id.name not in busy], status, now)
        for container in fresh:
            if container.phase is Phase.WAITING:
                container.not_before, container.failures = now.monotonic, 0

    def _probe_adopted(self, container: Container, status: Body, now: Now) -> None:
        """Go on probing an instance, from what was last reported of it. A postStart hook is not run again."""
        if container.phase is not Phase.RUNNING or container.current is None:
            return
        began_at = now.monotonic - max(now.wall - container.current.started_at, 0.0)
        container.probe(began_at, now.monotonic, health.known_of(container, status), self._rng)

    def apply(self, pod: Body) -> None:
        """Note which images the pod now names; nothing else of a container may change."""
        specs = {one["name"]: one for part in ("initContainers", "containers") for one in pod["spec"].get(part) or ()}
        for container in self.containers:
            container.image = specs.get(container.name, {}).get("image", container.image)

    def references_changed(self) -> None:
        """Try at once what could not be started for want of a ConfigMap or Secret."""
        for container in self.containers:
            if container.waiting.reason == "CreateContainerConfigError":
                container.not_before = 0.0

    def started(self, state: ContainerState, now: float) -> None:
        """Note that an instance runs (or has ended already)."""
        container = self._current(state.id)
        if container is None or container.phase is not Phase.CREATING:
            return
        container.run(state)
        self._record(False, "Started", f"Started container {container.name}", container)
        if container.lifecycle.post_start:
            action = container.lifecycle.post_start
            self._out.append(RunHook(container.id, Hook.POST_START, action, POST_START_MAX_S))
        else:
            container.probe(now, now, None, self._rng)

    def refused(self, instance: ContainerId, waiting: Waiting, status: Body, now: Now) -> None:
        """Note that an instance could not be started, and what it waits for."""
        container = self._current(instance)
        if container is None or container.phase is not Phase.CREATING:
            return
        if container.waiting != waiting:
            what = waiting.reason if waiting.reason in IMAGE_REASONS else waiting.message
            self._record(True, "Failed", f"Error: {what}", container)
        container.refuse(waiting, now.monotonic)
        late = [state for state in self._late if state.id.name == container.name]
        if late:
            self._late = [state for state in self._late if state.id.name != container.name]
            self.adopt(late, status, now)

    def exited(self, state: ContainerState, now: float, *, wanted: bool) -> None:
        """Note that an instance has ended, of a pod that is ``wanted`` to run or not."""
        container = self._current(state.id)
        if container is None or not container.active:
            return
        container.end(state, now)
        assert state.exit is not None
        if container.restarts and wanted and container.not_before > now:
            container.waiting = self._crash_loop(container, container.not_before - now)
            message = f"Back-off restarting failed container {container.name} in pod {self._pod_name}"
            self._record(True, "BackOff", message, container)

    def probed(self, event: ProbeEnded, now: float, *, frozen: bool) -> None:
        """Note how a probe went; of a pod that is ``frozen`` it tells nothing, for that could not have answered."""
        container = self._current(event.container)
        if container is None or container.probes is None or container.phase is not Phase.RUNNING:
            return
        if frozen:
            container.probes.note(event.kind, Outcome.UNKNOWN, now)
            return
        container.probes.note(event.kind, event.outcome, now)
        told = health.told(event)
        self._out += [told] if told is not None else []

    def hooked(self, instance: ContainerId, hook: Hook, error: str, now: float, *, grace_s: float) -> None:
        """Note how a hook went."""
        container = self._current(instance)
        if container is None or container.hook is not hook:
            return
        container.hook = None
        if error:
            self._record(True, f"Failed{hook.value}Hook", f"{hook.value}Hook failed: {error}", container)
        if hook is Hook.PRE_STOP:
            self._out += endings.terminate(container, now)
        elif error:
            self._stop(container, now + grace_s, now, "FailedPostStartHook")
        else:
            container.probe(now, now, None, self._rng)

    # --- running --------------------------------------------------------------------------------------------------

    def run(self, now: float, *, grace_s: float) -> None:
        """Start those whose turn it is, and restart those whose image has changed."""
        for container in self._eligible():
            if container.phase is Phase.RUNNING and container.outdated and container.kind is not Kind.INIT:
                message = f"Container {container.name} definition changed, will be restarted"
                self._stop(container, now + grace_s, now, message)
            if _startable(container) and now >= container.not_before:
                self._out.append(StartContainer(container.begin()))

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

    def probe(self, now: float, *, grace_s: float) -> None:
        """Ask for the probes that are due, and stop whom they have condemned."""
        for container in self.containers:
            if not container.up or container.probes is None:
                continue
            if container.probes.failed is not None:
                self._condemn(container, container.probes.failed, now, grace_s)
            else:
                self._out += [RunProbe(container.id, spec) for spec in container.probes.due(now)]

    def _condemn(self, container: Container, probe: ProbeSpec, now: float, grace_s: float) -> None:
        container.condemned = True
        allowed_s = grace_s if probe.grace_s is None else probe.grace_s
        self._stop(container, now + allowed_s, now, health.verdict_on(container, probe))

    def show_pull_backoff(self, now: float) -> None:
        """Show for a pull that failed a while ago that the next one is waited for, as the kubelet does."""
        for container in self.containers:
            if container.pull_backoff_at is not None and now >= container.pull_backoff_at:
                container.pull_backoff_at = None
                message = f'Back-off pulling image "{container.image}"'
                container.waiting = Waiting("ImagePullBackOff", f"{message}: {container.waiting.message}")
                self._record(False, "BackOff", message, container)
                self._record(True, "Failed", "Error: ImagePullBackOff", container)

    # --- stopping -------------------------------------------------------------------------------------------------

    def stop_all(self, deadline: float, now: float) -> None:
        """Stop the work, then the sidecars, last started first; all within one grace period, which ends then."""
        others = [container for container in self.containers if container.kind is not Kind.SIDECAR]
        for container in others:
            self._stop(container, deadline, now, f"Stopping container {container.name}")
        if any(container.active for container in others):
            return
        for sidecar in reversed([container for container in self.containers if container.kind is Kind.SIDECAR]):
            self._stop(sidecar, max(deadline, now + LAST_MOMENT_S), now, f"Stopping container {sidecar.name}")
            if sidecar.active:
                return

    def kill_overdue(self, now: float) -> None:
        """Go on to the next means with those that have used up their grace period."""
        for container in self.containers:
            self._out += endings.kill_overdue(container, now)

    def _stop(self, container: Container, kill_at: float, now: float, why: str) -> None:
        self._out += endings.stop(container, kill_at=kill_at, now=now, why=why)

    # --- times ----------------------------------------------------------------------------------------------------

    def kills_at(self) -> list[float]:
        """Return when grace periods end."""
        return [container.kill_at for container in self.containers if container.kill_at is not None]

    def probes_at(self) -> list[float]:
        """Return when probes are due."""
        return [at for container in self.containers if (at := _next_probe(container)) is not None]

    def starts_at(self) -> list[float]:
        """Return when those whose turn it is may start."""
        return [container.not_before for container in self._eligible() if _startable(container)]

    def pulls_shown_at(self) -> list[float]:
        """Return when :meth:`show_pull_backoff` has something to show."""
        return [container.pull_backoff_at for container in self.containers if container.pull_backoff_at is not None]

    # --- parts ----------------------------------------------------------------------------------------------------

    def _current(self, instance: ContainerId) -> Container | None:
        return next((container for container in self.containers if container.id == instance), None)

    def _crash_loop(self, container: Container, delay_s: float) -> Waiting:
        message = f"back-off {delay_s:.0f}s restarting failed container={container.name} pod={self._pod_name}"
        return Waiting("CrashLoopBackOff", message)

    def _record(self, warning: bool, reason: str, message: str, container: Container) -> None:
        self._out.append(RecordEvent(self._uid, warning, reason, message, container.name))


def _next_probe(container: Container) -> float | None:
    return container.probes.next_at() if container.up and container.probes is not None else None


def _startable(container: Container) -> bool:
    return container.phase is Phase.WAITING or container.restarts
