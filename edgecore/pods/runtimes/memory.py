"""A runtime that runs nothing, for simulations and tests: the contract without processes.

A :class:`MemoryHost` stands for the device. It outlives the :class:`MemoryRuntime`, which stands for the agent's hold
on it; dropping the runtime without ``close`` is the agent's crash, and a new runtime on the same host adopts what
runs. Everything is immediate, on one event loop, and takes its time from that loop or the clock it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgecore.pods.runtimes.base import (
    EXEC_OUTPUT_BYTES,
    ContainerId,
    ContainerSpec,
    ContainerState,
    ExecResult,
    ExecTimedOut,
    Exit,
    ExitListener,
    NotRunning,
    StartRefused,
    Teller,
    silent,
)
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.objects.keys import Uid

SIGTERM, SIGKILL = 15, 9


@dataclass(slots=True)
class MemoryHost:
    """A device whose containers are entries in a dictionary.

    Attributes:
        wall: Reads the time, seconds since the epoch.
        ignores_sigterm: Names of containers that only a kill ends.
        states: Every instance there is.
        specs: What they were started from.
        starts: Every instance ever started, in order: a duplicate would show here.
        listener: Whoever holds the host now.
        boots: How often the device has booted.
        answers: What a command run in a container comes to, by its words; None hangs. Others end at once, with 0.
        execs: Every command ever run in a container, in order.
    """

    wall: Callable[[], float]
    ignores_sigterm: set[str] = field(default_factory=set)
    states: dict[ContainerId, ContainerState] = field(default_factory=dict)
    specs: dict[ContainerId, ContainerSpec] = field(default_factory=dict)
    starts: list[ContainerId] = field(default_factory=list)
    listener: ExitListener | None = None
    boots: int = 1
    answers: dict[tuple[str, ...], ExecResult | None] = field(default_factory=dict)
    execs: list[tuple[ContainerId, tuple[str, ...]]] = field(default_factory=list)

    def running(self) -> list[ContainerId]:
        """Return the instances that run."""
        return [container for container, state in self.states.items() if state.exit is None]

    def end(self, container: ContainerId, exit_code: int, signal: int = 0, message: str = "") -> None:
        """End an instance as if its process did."""
        reason = "Completed" if exit_code == 0 else "Error"
        self._end(container, Exit(self.wall(), exit_code, signal, reason, message))

    def reboot(self) -> None:
        """Lose every process, as a power cut does; no one hears of it until the next agent looks."""
        self.listener = None
        self.boots += 1
        for container in self.running():
            lost = Exit(self.wall(), 137, 0, "ContainerStatusUnknown", "the node restarted while it ran")
            self._end(container, lost)

    def _end(self, container: ContainerId, how: Exit) -> None:
        state = replace(self.states[container], exit=how)
        self.states[container] = state
        if self.listener is not None:
            self.listener(state)


class MemoryRuntime:
    """Implements :class:`edgecore.pods.runtimes.base.Runtime` on a :class:`MemoryHost`."""

    def __init__(self, host: MemoryHost, *, name: str = "process") -> None:
        self._host = host
        self._name = name

    @property
    def name(self) -> str:
        """The RuntimeClass handler it stands for."""
        return self._name

    @property
    def own_networks(self) -> bool:
        """None: there is nothing but the host's."""
        return False

    @property
    def honours(self) -> frozenset[str]:
        """Nothing special."""
        return frozenset()

    @property
    def problem(self) -> str | None:
        """Nothing can fail."""
        return None

    async def open(self, listener: ExitListener) -> Sequence[ContainerState]:
        """Take hold of the host; whoever held it before hears nothing more."""
        self._host.listener = listener
        return list(self._host.states.values())

    async def prepare(self, sandbox: SandboxSpec) -> str:
        """Nothing is shared but the host."""
        return ""

    async def start(self, spec: ContainerSpec, tell: Teller = silent) -> ContainerState:
        """Start the instance."""
        host = self._host
        if spec.id in host.states:
            return host.states[spec.id]
        if not spec.argv:
            raise StartRefused("CreateContainerConfigError", "spec.containers[].command is needed")
        for other in [o for o in host.states if o[:2] == spec.id[:2] and o.attempt < spec.id.attempt - 1]:
            del host.states[other], host.specs[other]
        runtime_id = f"{self._name}://{host.boots}-{len(host.starts)}"
        state = ContainerState(spec.id, spec.image, "", runtime_id, host.wall())
        host.states[spec.id] = state
        host.specs[spec.id] = spec
        host.starts.append(spec.id)
        return state

    async def signal(self, container: ContainerId, number: int) -> None:
        """End the instance if the signal would."""
        state = self._host.states.get(container)
        if state is None or state.exit is not None:
            return
        if number == SIGKILL or (number == SIGTERM and container.name not in self._host.ignores_sigterm):
            self._host.end(container, 128 + number, number)

    async def exec(self, container: ContainerId, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Answer as the host was told to."""
        host, words = self._host, tuple(argv)
        if container not in host.running():
            raise NotRunning(f"container {container.name} is not running")
        host.execs.append((container, words))
        answer = host.answers.get(words, ExecResult(0))
        if answer is None:
            await asyncio.sleep(timeout_s)
            raise ExecTimedOut(f"{words} did not end within {timeout_s} s")
        return replace(answer, output=answer.output[:EXEC_OUTPUT_BYTES])

    async def release_pod(self, pod: Uid) -> None:
        """Nothing is shared."""

    async def remove_pod(self, pod: Uid) -> None:
        """Forget the pod, its running instances too."""
        for container in [container for container in self._host.states if container.pod == pod]:
            if self._host.states[container].exit is None:
                self._host.end(container, 128 + SIGKILL, SIGKILL)
            del self._host.states[container], self._host.specs[container]

    def log_path(self, container: ContainerId) -> Path | None:
        """Return None: nothing is logged."""
        return None

    async def close(self) -> None:
        """Let go of the host."""
        self._host.listener = None
