"""The one interface that every container runtime implements.

A container instance is named by :class:`ContainerId`; a restart is a new instance with the next attempt number. The
runtime, not the agent's memory, is where instances live: they outlast the agent, and ``open`` finds them again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from edgecore.pods.runtimes.specs import Credentials, PullPolicy, Resources, SandboxSpec, Security
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Uid

MESSAGE_BYTES: Final = 4096
"""The most that is kept of a termination message; of one made from the log, half of it."""
EXEC_OUTPUT_BYTES: Final = 16 * 1024
"""The most that is kept of the output of a command run in a container."""


class ContainerId(NamedTuple):
    """Names one instance of a container.

    Attributes:
        pod: The pod's uid.
        name: The container's name within the pod.
        attempt: 0 for the first start; each restart adds one.
    """

    pod: Uid
    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume, or a part of one, as a container sees it.

    Attributes:
        source: The file or folder on the host.
        path: ``mountPath``: where the container finds it.
        read_only: Whether the container may not write there (runtimes without mounts rely on file modes).
        propagation: Whether mounts made below it later show on the other side: ``None``, ``HostToContainer``,
            ``Bidirectional``. Nothing to do for runtimes without mounts, whose containers see the host's.
    """

    source: Path
    path: str
    read_only: bool = False
    propagation: str = "None"


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything a runtime needs to start an instance.

    Attributes:
        id: The instance.
        namespace: The pod's namespace.
        pod_name: The pod's name.
        image: As the pod states it.
        argv: Command and arguments, expanded; empty when the pod leaves the command to the image.
        environment: Name to value, complete: nothing is inherited from the agent.
        working_dir: ``workingDir``, or empty.
        mounts: In the pod's order.
        user: Numeric user, or None for the runtime's default.
        group: Numeric primary group, or None for the runtime's default.
        groups: Supplementary groups.
        arguments: ``args``, expanded, where the pod leaves the command to the image; empty otherwise.
        pull_policy: When the image is fetched.
        credentials: For registries, in the order they are tried.
        resources: Requests and limits.
        security: What it may do.
        sandbox: What it shares with the pod's other containers.
        termination_path: ``terminationMessagePath``: where in the container it may leave a last word.
        termination_from_log: Take the end of the log where that file is empty and the container failed.
        tty: Give it a terminal.
        stdin: Keep its standard input open.
    """

    id: ContainerId
    namespace: str
    pod_name: str
    image: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    mounts: tuple[Mount, ...] = ()
    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    arguments: tuple[str, ...] = ()
    pull_policy: PullPolicy = "IfNotPresent"
    credentials: tuple[Credentials, ...] = ()
    resources: Resources = field(default_factory=Resources)
    security: Security = field(default_factory=Security)
    sandbox: SandboxSpec | None = None
    termination_path: str = "/dev/termination-log"
    termination_from_log: bool = False
    tty: bool = False
    stdin: bool = False


@dataclass(frozen=True, slots=True)
class Exit:
    """How an instance ended.

    Attributes:
        finished_at: Seconds since the epoch.
        exit_code: As a shell reports it: 128 + the signal for a death by signal.
        signal: The signal that killed it, or 0.
        reason: ``Completed``, ``Error``, ``OOMKilled``, ``StartError`` or ``ContainerStatusUnknown``.
        message: The container's last words (at most :data:`MESSAGE_BYTES` of them), why it could not run, or empty.
    """

    finished_at: float
    exit_code: int
    signal: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What a runtime knows of an instance.

    Attributes:
        id: The instance.
        image: The image it was started from, as its pod stated it.
        image_id: What that was resolved to; empty where the runtime resolves nothing.
        runtime_id: ``containerID`` of the status, ``<runtime>://<id>``.
        started_at: Seconds since the epoch.
        exit: None while it runs.
        address: The pod's own IP address; empty where it uses the host's.
    """

    id: ContainerId
    image: str
    image_id: str
    runtime_id: str
    started_at: float
    exit: Exit | None = None
    address: str = ""


class StartRefused(AiokubeedgeError):
    """The runtime cannot start this instance as specified; none was made.

    Args:
        reason: For ``state.waiting.reason``: ``CreateContainerConfigError``, ``RunContainerError``, …
        message: One line for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RuntimeUnavailable(AiokubeedgeError, OSError):
    """What the runtime drives does not answer (a stopped Docker daemon, say). Trying again later may help."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command that was run in a container ended.

    Attributes:
        exit_code: As a shell reports it; 127 where there is no such program, 126 where it cannot be executed.
        output: Standard output and standard error as they came, the first :data:`EXEC_OUTPUT_BYTES` of them; why it
            could not be executed, if so.
    """

    exit_code: int
    output: bytes = b""


class NotRunning(AiokubeedgeError):
    """A command cannot be run in an instance that is not running, or that ended before the command did."""


class ExecTimedOut(AiokubeedgeError):
    """A command did not end in time, and was killed."""


ExitListener = Callable[[ContainerState], None]

Teller = Callable[[str, str, bool], Awaitable[None]]
"""Takes a reason, a message and whether it is a warning, for an Event about a container that is being started."""


async def silent(reason: str, message: str, warning: bool) -> None:
    """A :data:`Teller` that tells nobody."""


class Runtime(Protocol):
    """Starts, signals, finds again and removes container instances.

    All methods are called on the event loop. Calls for different pods may overlap; calls for one pod do not, except
    that ``signal`` and ``exec`` may overlap with anything.
    """

    @property
    def name(self) -> str:
        """The RuntimeClass handler it serves, and the scheme of its container ids."""

    @property
    def honours(self) -> frozenset[str]:
        """Fields it acts on and not every runtime does, as :mod:`edgecore.pods.unsupported` writes them."""

    @property
    def own_networks(self) -> bool:
        """Whether a pod has a network of its own where it does not ask for the host's."""

    @property
    def problem(self) -> str | None:
        """What keeps it from working, empty for nothing; None where there is nothing beside the agent that could."""

    async def open(self, listener: ExitListener) -> Sequence[ContainerState]:
        """Begin work and return every instance there is, running or ended, of all pods.

        Args:
            listener: Called on the event loop, once per instance that ends after this call began, unless the
                instance is in the answer as ended. Must not block or raise.

        Raises:
            RuntimeUnavailable: What it drives does not answer; ``open`` may be called again.
        """

    async def prepare(self, sandbox: SandboxSpec) -> str:
        """Make what the pod's containers share, where it is missing, and return the pod's own IP address. Idempotent.

        Called before a start whose environment names the address; a start makes it too. Empty: the host's.

        Raises:
            StartRefused: It cannot be made as specified.
            OSError: The host failed; trying again later may help.
        """

    async def start(self, spec: ContainerSpec, tell: Teller = silent) -> ContainerState:
        """Start the instance and return its state; an instance that exists already is returned as it is.

        Earlier instances of the container but the last are forgotten, with their logs.

        Args:
            spec: The instance.
            tell: Takes what is worth an Event while this goes on (an image that is pulled, say).

        Raises:
            StartRefused: It cannot be started as specified.
            OSError: The host failed; trying again later may help.
        """

    async def signal(self, container: ContainerId, number: int) -> None:
        """Send a signal to all of the instance's processes. One that is gone or unknown is left alone.

        Raises:
            OSError: The host failed.
        """

    async def release_pod(self, pod: Uid) -> None:
        """Let go of what the pod's containers shared: it will run nothing any more. Records and logs stay. Idempotent.

        Raises:
            OSError: Something remains.
        """

    async def exec(self, container: ContainerId, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Run a command inside the instance, beside what runs there, and wait for its end.

        It has the instance's user, groups, environment, working folder and limits, and no standard input. It may
        overlap with anything, other calls for the same instance included.

        Args:
            container: The instance.
            argv: Program and arguments; not given to a shell.
            timeout_s: After so many seconds the command and all of its process group are killed.

        Raises:
            NotRunning: The instance is unknown, has ended, or ended meanwhile.
            ExecTimedOut: The command did not end in time; nothing is left of it.
            OSError: The host failed: nothing is known of the command.
        """

    async def remove_pod(self, pod: Uid) -> None:
        """Kill what still runs of the pod and remove every trace of it, logs included. Idempotent.

        Raises:
            OSError: Something remains; call again.
        """

    def log_path(self, container: ContainerId) -> Path | None:
        """Return where the instance's log is (CRI format), or None where the runtime keeps it elsewhere."""

    async def close(self) -> None:
        """Let go of everything and leave it running."""
