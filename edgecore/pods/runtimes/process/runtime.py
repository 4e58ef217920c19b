"""The process runtime as the agent holds it: asks supervisors, hears their bells, reads their records.

Concurrency: everything but file work runs on the event loop. One reader callback per pod with a supervisor; a bell
makes it read the pod's records again, so lost or repeated bells change nothing. ``start`` and ``remove_pod`` of one
pod never overlap (the interface's rule); file work that syncs runs in threads. Nothing polls.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

import edgecore
from edgecore.cgroups.controls import PodGroups
from edgecore.cgroups.drivers import Entry
from edgecore.cgroups.layout import Bounds
from edgecore.pods.runtimes.base import (
    ContainerId,
    ContainerSpec,
    ContainerState,
    ExecResult,
    ExecTimedOut,
    ExitListener,
    NotRunning,
    StartRefused,
    Teller,
    silent,
)
from edgecore.pods.runtimes.bounds import container_bounds, pod_bounds
from edgecore.pods.runtimes.process import records
from edgecore.pods.runtimes.process.execs import FAILED, GONE, PIECE_BYTES, TIMED_OUT
from edgecore.pods.runtimes.process.folders import PodFolder
from edgecore.pods.runtimes.process.launch import command
from edgecore.pods.runtimes.process.supervisor import TAKEN
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Uid

log = structlog.get_logger(__name__)

PACKAGE_ROOT = Path(str(edgecore.__file__)).resolve().parent.parent
_LIMITS = frozenset({"resources", "resources.limits"})
_READ_BYTES = 64 * 1024
_WORDS_BYTES = 24 * 1024
"""The longest command that can be run in a container: it has to fit in a pipe, in hexadecimal, with room left."""


class SupervisorLost(AiokubeedgeError, OSError):
    """A pod's supervisor did not answer, or ended when it should not have."""


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """What can be set of the process runtime.

    Attributes:
        log_bytes: Size at which a log is rotated.
        log_files: Files kept per container instance, the current one included.
        answer_timeout_s: How long a supervisor may take to answer.
    """

    log_bytes: int = 10 * 1024 * 1024
    log_files: int = 5
    answer_timeout_s: float = 30.0


@dataclass(slots=True, eq=False)
class _Command:
    """A command that runs in a container: what it has said, and how it ended."""

    output: bytearray = field(default_factory=bytearray)
    verdict: asyncio.Future[str] = field(default_factory=asyncio.Future)


@dataclass(slots=True, eq=False)
class _Pod:
    """A pod the runtime knows: its folder, the pipes to its supervisor (-1 when there is none), who waits."""

    folder: PodFolder
    requests: int = -1
    events: int = -1
    known: dict[ContainerId, ContainerState] = field(default_factory=dict)
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: dict[tuple[str, int], str] = field(default_factory=dict)
    commands: dict[int, _Command] = field(default_factory=dict)
    partial: bytes = b""

    @property
    def supervised(self) -> bool:
        return self.events >= 0


class ProcessRuntime:
    """Implements :class:`edgecore.pods.runtimes.base.Runtime` with processes of the host.

    Args:
        root: Its folder. Containers that run as another user need search permission on every folder above it.
        settings: See :class:`ProcessSettings`.
        groups: Holds containers within their limits; without it, they have none.
    """

    name = "process"
    problem = None

    def __init__(self, root: Path, settings: ProcessSettings | None = None, *, groups: PodGroups | None = None) -> None:
        self._root = root.absolute()
        self._settings = settings or ProcessSettings()
        self._groups = groups or PodGroups()
        self._pods: dict[Uid, _Pod] = {}
        self._listener: ExitListener = lambda state: None
        # Never a number that an earlier agent used: its answers may still come.
        self._numbers = itertools.count(time.time_ns())

    @property
    def own_networks(self) -> bool:
        """None: processes share the host's."""
        return False

    @property
    def honours(self) -> frozenset[str]:
        """Limits, where there are control groups that hold containers to them."""
        return _LIMITS if {"cpu", "memory"} <= self._groups.controllers else frozenset()

    async def open(self, listener: ExitListener) -> Sequence[ContainerState]:
        """Find every pod again; what ran without a supervisor, or before a reboot, is ended and says so."""
        self._listener = listener
        self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
        states: list[ContainerState] = []
        for name in sorted(os.listdir(self._root)):
            try:
                states += await self._adopt(Uid(name))
            except (OSError, StartRefused, records.RecordTorn, KeyError, ValueError) as error:
                log.warning("a pod's folder cannot be read; left as it is", pod=name, cause=str(error))
        return states

    async def _adopt(self, uid: Uid) -> list[ContainerState]:
        pod = _Pod(PodFolder(self._root, uid))
        self._attach(pod)
        self._pods[uid] = pod
        for state in await asyncio.to_thread(pod.folder.states):
            settled = state
            if state.exit is None and not pod.supervised:
                settled = await asyncio.to_thread(pod.folder.give_up, state.id)
            pod.known[state.id] = settled
        return list(pod.known.values())

    async def prepare(self, sandbox: SandboxSpec) -> str:
        """Nothing is made: processes share the host's network and are told apart by their folders."""
        return ""

    async def start(self, spec: ContainerSpec, tell: Teller = silent) -> ContainerState:
        """Start the instance, through a supervisor that is started when there is none."""
        pod = self._pods.get(spec.id.pod)
        if pod is None:
            pod = self._pods.setdefault(spec.id.pod, _Pod(PodFolder(self._root, spec.id.pod)))
        if spec.id in pod.known:
            return pod.known[spec.id]
        await asyncio.to_thread(pod.folder.make)
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                async with asyncio.TaskGroup() as tasks:
                    # The supervisor takes longest to come up; with nothing to run it leaves again.
                    tasks.create_task(self._lay(pod, spec), name="process-spec")
                    if not pod.supervised:
                        tasks.create_task(self._launch(pod), name="process-supervisor")
                return await self._start(pod, spec.id)
        except TimeoutError:
            raise SupervisorLost(errno.ETIMEDOUT, "the pod's supervisor does not answer") from None
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _lay(self, pod: _Pod, spec: ContainerSpec) -> None:
        """Make the instance's control group and write down what its supervisor is to run."""
        entry = await self._group(spec)
        settings = self._settings
        await asyncio.to_thread(
            pod.folder.write_spec, spec, entry, log_bytes=settings.log_bytes, log_files=settings.log_files
        )
        self._forget_before(pod, spec.id)

    async def _group(self, spec: ContainerSpec) -> Entry:
        """Make the control group of an instance."""
        uid, sandbox = spec.id.pod, spec.sandbox
        quality = sandbox.quality if sandbox is not None else "BestEffort"
        try:
            await self._groups.make_pod(uid, quality, pod_bounds(sandbox) if sandbox is not None else Bounds())
            return await self._groups.make_container(uid, spec.id.name, container_bounds(spec.resources, quality))
        except ValueError as error:
            raise StartRefused("CreateContainerConfigError", str(error)) from None

    async def _start(self, pod: _Pod, container: ContainerId) -> ContainerState:
        short = (container.name, container.attempt)
        pod.refusals.pop(short, None)
        asked = False
        while True:
            # A supervisor that was idle may leave just as it is asked; the next one is asked again.
            if not pod.supervised:
                await self._launch(pod)
                asked = False
            if not asked:
                self._request(pod, f"start {container.name} {container.attempt}")
                asked = True
            if container in pod.known:
                return pod.known[container]
            if short in pod.refusals:
                raise OSError(errno.EIO, pod.refusals.pop(short))
            pod.bell.clear()
            await pod.bell.wait()

    async def _launch(self, pod: _Pod) -> None:
        """Start a supervisor and connect to whichever then serves the pod.

        Raises:
            SupervisorLost: It ended at once.
        """
        argv = command("launch", str(PACKAGE_ROOT), str(pod.folder.path))
        while True:
            pod.events = os.open(pod.folder.events, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                said = await asyncio.to_thread(_run_detached, argv)
                pod.requests = _open_writer(pod.folder.requests)
            except BaseException:
                self._detach(pod)
                raise
            if pod.requests >= 0:
                asyncio.get_running_loop().add_reader(pod.events, self._heard, pod)
                return
            self._detach(pod)
            # Taken: by one that is just leaving, or just coming up for an agent that was killed meanwhile.
            if said != TAKEN:
                raise SupervisorLost(errno.ECHILD, "the pod's supervisor ended as soon as it was started")

    def _attach(self, pod: _Pod) -> None:
        # Events first: a supervisor that leaves in between then shows as one of "no reader" and "end of file".
        try:
            pod.events = os.open(pod.folder.events, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        pod.requests = _open_writer(pod.folder.requests)
        if pod.requests < 0:
            os.close(pod.events)
            pod.events = -1
            return
        asyncio.get_running_loop().add_reader(pod.events, self._heard, pod)

    def _detach(self, pod: _Pod) -> None:
        if pod.events >= 0:
            asyncio.get_running_loop().remove_reader(pod.events)
        for descriptor in (pod.events, pod.requests):
            if descriptor >= 0:
                os.close(descriptor)
        pod.events = pod.requests = -1
        pod.partial = b""
        for waiting in pod.commands.values():
            if not waiting.verdict.done():
                waiting.verdict.set_result(GONE)

    @staticmethod
    def _request(pod: _Pod, line: str) -> None:
        """Ring for the supervisor. That it has left meanwhile shows as the end of its events."""
        try:
            os.write(pod.requests, line.encode() + b"\n")
        except BrokenPipeError:
            return
        except BlockingIOError:
            raise SupervisorLost(errno.EAGAIN, "the pod's supervisor has stopped reading requests") from None

    # --- what the supervisor says ---------------------------------------------------------------------------------

    def _heard(self, pod: _Pod) -> None:
        try:
            data = os.read(pod.events, _READ_BYTES)
        except BlockingIOError:
            return
        *lines, pod.partial = (pod.partial + data).split(b"\n")
        bells = [line for line in lines if not _take_answer(pod, line)]
        if data and not bells:
            return
        for line in bells:
            verb, _, rest = line.decode(errors="replace").partition(" ")
            if verb == "refused":
                name, attempt, message = rest.split(" ", 2)
                pod.refusals[name, int(attempt)] = message
        if not data:
            self._detach(pod)
        self._look(pod)
        if not data:
            self._give_up_orphans(pod)
        pod.bell.set()

    def _look(self, pod: _Pod) -> None:
        """Read the pod's records again and tell of what has ended."""
        try:
            states = pod.folder.states()
        except (OSError, records.RecordTorn, KeyError, ValueError):
            log.exception("a pod's records cannot be read", pod=pod.folder.pod)
            return
        for state in states:
            self._note(pod, state)

    def _note(self, pod: _Pod, state: ContainerState) -> None:
        before = pod.known.get(state.id)
        if before is not None and before.exit is not None:
            return
        pod.known[state.id] = state
        if state.exit is not None:
            self._listener(state)

    def _give_up_orphans(self, pod: _Pod) -> None:
        """The supervisor has gone: whatever it left running has lost its witness."""
        for state in list(pod.known.values()):
            if state.exit is None:
                log.warning("supervisor lost; ending its container", pod=state.id.pod, container=state.id.name)
                try:
                    self._note(pod, pod.folder.give_up(state.id))
                except OSError:
                    log.exception("cannot record the end of a container", pod=state.id.pod)

    # --- commands -------------------------------------------------------------------------------------------------

    async def exec(self, container: ContainerId, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Have the supervisor run a command; it also ends it in time, whatever becomes of the agent."""
        pod = self._pods.get(container.pod)
        state = None if pod is None else pod.known.get(container)
        if pod is None or state is None or state.exit is not None or not pod.supervised:
            raise NotRunning(f"container {container.name} is not running")
        if self._groups.is_paused(container.pod):
            raise ExecTimedOut("the pod is paused")
        words = os.fsencode("\0".join(argv))
        if len(words) > _WORDS_BYTES:
            raise OSError(errno.E2BIG, f"a command of {len(words)} bytes; the process runtime takes {_WORDS_BYTES}")
        number = next(self._numbers)
        pod.commands[number] = command = _Command()
        try:
            self._ask(pod, number, container, words, timeout_s)
            async with asyncio.timeout(timeout_s + self._settings.answer_timeout_s):
                return _result(await command.verdict, bytes(command.output), timeout_s)
        except TimeoutError:
            raise SupervisorLost(errno.ETIMEDOUT, "the pod's supervisor does not answer") from None
        finally:
            del pod.commands[number]

    def _ask(self, pod: _Pod, number: int, container: ContainerId, words: bytes, timeout_s: float) -> None:
        for start in range(0, len(words), PIECE_BYTES):
            self._request(pod, f"words {number} {words[start : start + PIECE_BYTES].hex()}")
        self._request(pod, f"exec {number} {container.name} {container.attempt} {round(timeout_s * 1000)}")

    # --- stopping -------------------------------------------------------------------------------------------------

    async def signal(self, container: ContainerId, number: int) -> None:
        """Pass a signal on through the supervisor, who alone knows whether the pid is still the container's.

        A paused pod goes on first: it could not end.
        """
        pod = self._pods.get(container.pod)
        if pod is not None and pod.supervised:
            if self._groups.is_paused(container.pod):
                await self._groups.resume(container.pod)
            self._request(pod, f"signal {container.name} {container.attempt} {number}")

    async def release_pod(self, pod: Uid) -> None:
        """Nothing is shared that would have to be let go of."""

    async def remove_pod(self, pod: Uid) -> None:
        """Have the supervisor kill everything and leave; then remove the pod's folder."""
        held = self._pods.get(pod)
        if held is None:
            return
        if held.supervised:
            await self._groups.resume(pod)
            await self._dismiss(held)
        await self._groups.remove_pod(pod)
        await asyncio.to_thread(held.folder.remove)
        self._pods.pop(pod, None)

    async def _dismiss(self, pod: _Pod) -> None:
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                self._request(pod, "quit")
                while pod.supervised:
                    pod.bell.clear()
                    await pod.bell.wait()
        except TimeoutError:
            raise SupervisorLost(errno.ETIMEDOUT, "the pod's supervisor does not leave") from None

    @staticmethod
    def _forget_before(pod: _Pod, container: ContainerId) -> None:
        for other in [c for c in pod.known if c.name == container.name and c.attempt < container.attempt - 1]:
            del pod.known[other]

    def log_path(self, container: ContainerId) -> Path | None:
        """Return where the instance's log is."""
        return PodFolder(self._root, container.pod).log(container)

    async def close(self) -> None:
        """Close the pipes; containers go on with their supervisors, and a supervisor of nothing leaves now."""
        for pod in self._pods.values():
            if pod.supervised and all(state.exit is not None for state in pod.known.values()):
                try:
                    await self._dismiss(pod)
                except OSError as error:
                    log.warning("supervisor does not leave", folder=str(pod.folder.path), cause=str(error))
            self._detach(pod)
        self._pods.clear()


def _take_answer(pod: _Pod, line: bytes) -> bool:
    """Take what a line says of a command; tell whether it does."""
    verb, _, rest = line.decode(errors="replace").partition(" ")
    if verb not in ("output", "ended"):
        return False
    number, _, text = rest.partition(" ")
    command = pod.commands.get(int(number))
    if command is not None and verb == "output":
        command.output += bytes.fromhex(text)
    elif command is not None and not command.verdict.done():
        command.verdict.set_result(text)
    return True


def _result(verdict: str, output: bytes, timeout_s: float) -> ExecResult:
    if verdict == TIMED_OUT:
        raise ExecTimedOut(f"the command did not end within {timeout_s:g} s")
    if verdict == GONE:
        raise NotRunning("the container ended before the command did")
    if verdict == FAILED:
        raise OSError(errno.EIO, output.decode(errors="replace"))
    return ExecResult(int(verdict), output)


def _open_writer(fifo: Path) -> int:
    """Open a supervisor's request pipe, or return -1 where none reads it."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return -1
        raise


def _run_detached(argv: list[str]) -> bytes:
    """Start a supervisor; return what it has to say when it is ready or has ended."""
    null = subprocess.DEVNULL
    try:
        # The supervisor lets go of its standard output once it serves: this reads until then.
        ran = subprocess.run(argv, stdin=null, stdout=subprocess.PIPE, stderr=null, env={}, check=True, timeout=30)
    except subprocess.SubprocessError as error:
        raise SupervisorLost(errno.ECHILD, f"the pod's supervisor cannot be started: {error}") from error
    return ran.stdout
