"""Carries out probes and hooks, beside the lanes: one that hangs holds up nothing but itself.

Concurrency: one task per probe or hook under way, all children of the task group given to :meth:`Prober.open`. The
machine asks for no probe twice before it is answered and for one hook per container, so their number is bounded by
the containers; of the probes at most :data:`PROBES_AT_ONCE` are carried out at a time and the others wait, their
time-outs not yet running.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from edgecore.pods import grpchealth
from edgecore.pods.events import HookEnded, ProbeEnded, RunHook, RunProbe
from edgecore.pods.httpprobe import AnswerMalformed, fetch
from edgecore.pods.probes import Outcome, ProbeSpec
from edgecore.pods.probetargets import HttpTarget, TargetUnknown, authority, command_of, http_target, port_of
from edgecore.pods.runtimes.base import ContainerId, ExecResult, ExecTimedOut, NotRunning, Runtime, StartRefused
from protocol.objects.keys import Body, Uid

log = structlog.get_logger(__name__)

PROBES_AT_ONCE: Final = 16
REDIRECTS: Final = 10
MESSAGE_CHARACTERS: Final = 900
"""What an Event says of a probe or hook is cut to this length: Kubernetes allows 1,024."""
_FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES: Final = 16 * 1024
LOOPBACK: Final = "127.0.0.1"

Verdict = tuple[Outcome, str]


class Prober:
    """Does what :class:`RunProbe` and :class:`RunHook` say.

    Args:
        pod_of: Looks a pod up by its uid; None once it is forgotten.
        address_of: The pod's address; empty where it is not known.
        host_ip: The node's address.
        runtime_of: What runs the pod; may raise :class:`StartRefused`.
        answer: Takes what came of it. Called on the event loop.
    """

    def __init__(
        self,
        *,
        pod_of: Callable[[Uid], Body | None],
        address_of: Callable[[Uid], str],
        host_ip: str,
        runtime_of: Callable[[Body], Runtime],
        answer: Callable[[ProbeEnded | HookEnded], None],
    ) -> None:
        self._pod_of = pod_of
        self._address_of = address_of
        self.host_ip = host_ip
        """The node's address; the driver changes it when the node moves."""
        self._runtime_of = runtime_of
        self._answer = answer
        self._tasks: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(PROBES_AT_ONCE)

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """Run in ``tasks`` from now on."""
        self._tasks = tasks

    def close(self) -> None:
        """Break off what is under way, unanswered, and take nothing more. Idempotent."""
        self._tasks = None
        for task in self._running:
            task.cancel()

    def add(self, instruction: RunProbe | RunHook) -> None:
        """Carry ``instruction`` out; dropped while there is no task group."""
        if self._tasks is None:
            return
        what = instruction.spec.kind if isinstance(instruction, RunProbe) else instruction.hook
        task = self._tasks.create_task(self._carry_out(instruction), name=f"{what.value}:{instruction.container}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _carry_out(self, instruction: RunProbe | RunHook) -> None:
        if isinstance(instruction, RunProbe):
            async with self._slots:
                outcome, message = await self._probe(instruction.container, instruction.spec)
            self._answer(ProbeEnded(instruction.container, instruction.spec.kind, outcome, _cut(message)))
        else:
            error = await self._hook(instruction)
            self._answer(HookEnded(instruction.container, instruction.hook, _cut(error)))

    # --- probes ---------------------------------------------------------------------------------------------------

    async def _probe(self, container: ContainerId, spec: ProbeSpec) -> Verdict:
        pod = self._pod_of(container.pod)
        if pod is None:
            return Outcome.UNKNOWN, "the pod is gone"
        try:
            return await self._ask(pod, container, spec)
        except (TargetUnknown, StartRefused, NotRunning) as error:
            return Outcome.UNKNOWN, str(error)
        except Exception as error:
            log.exception("a probe failed unexpectedly", container=container, probe=spec.kind.value)
            return Outcome.UNKNOWN, f"internal error: {error}"

    async def _ask(self, pod: Body, container: ContainerId, spec: ProbeSpec) -> Verdict:
        action, stated = spec.action, _spec_of(pod, container.name)
        if "exec" in action:
            return await self._ask_command(pod, container, command_of(action["exec"], stated), spec.timeout_s)
        if "httpGet" in action:
            target = http_target(action["httpGet"], stated, self._address(container.pod))
            return await _within(spec.timeout_s, _ask_http(target), f"Get {target.url!r}")
        if "tcpSocket" in action:
            host = action["tcpSocket"].get("host") or self._address(container.pod)
            port = port_of(action["tcpSocket"].get("port"), stated)
            return await _within(spec.timeout_s, _ask_tcp(host, port), f"dial tcp {authority(host, port)}")
        if "grpc" in action:
            return await self._ask_health(container.pod, action["grpc"], stated, spec.timeout_s)
        raise TargetUnknown("missing probe handler")

    async def _ask_command(
        self, pod: Body, container: ContainerId, words: tuple[str, ...], timeout_s: float
    ) -> Verdict:
        try:
            result = await self._runtime_of(pod).exec(container, words, timeout_s)
        except ExecTimedOut:
            return Outcome.FAILURE, f'command timed out: "{" ".join(words)}" timed out after {timeout_s:g}s'
        except OSError as error:
            return Outcome.UNKNOWN, str(error)
        return (Outcome.FAILURE if result.exit_code else Outcome.SUCCESS), _text(result)

    async def _ask_health(self, uid: Uid, action: Body, stated: Body, timeout_s: float) -> Verdict:
        host, port, service = self._address(uid), port_of(action.get("port"), stated), action.get("service") or ""
        return await _within(timeout_s, _ask_grpc(host, port, service), f"grpc {authority(host, port)}")

    def _address(self, uid: Uid) -> str:
        """Return the address to try: loopback where the pod's is the device's own, and the device does not have it.

        A device that is cut off may be without its address, or have another, and who bears the old one is a stranger.
        """
        address = self._address_of(uid) or self.host_ip
        return LOOPBACK if address == self.host_ip and not _is_own(address) else address

    # --- hooks ----------------------------------------------------------------------------------------------------

    async def _hook(self, instruction: RunHook) -> str:
        """Run a hook; return what went wrong."""
        pod = self._pod_of(instruction.container.pod)
        if pod is None:
            return "the pod is gone"
        try:
            return await self._act(pod, instruction)
        except TimeoutError:
            return f"it did not end within {instruction.timeout_s:g}s"
        except (TargetUnknown, StartRefused, NotRunning, ExecTimedOut, AnswerMalformed, OSError) as error:
            return str(error) or type(error).__name__
        except Exception as error:
            log.exception("a hook failed unexpectedly", container=instruction.container, hook=instruction.hook.value)
            return f"internal error: {error}"

    async def _act(self, pod: Body, instruction: RunHook) -> str:
        action, container = instruction.action, instruction.container
        stated = _spec_of(pod, container.name)
        if "exec" in action:
            words = command_of(action["exec"], stated)
            result = await self._runtime_of(pod).exec(container, words, instruction.timeout_s)
            said = f"command '{' '.join(words)}' exited with {result.exit_code}: {_text(result)}"
            return said if result.exit_code else ""
        async with asyncio.timeout(instruction.timeout_s):
            if "sleep" in action:
                await asyncio.sleep(float(action["sleep"].get("seconds") or 0))
            elif "httpGet" in action:
                # As the kubelet has it: the answer is what matters, not what it says.
                await fetch(http_target(action["httpGet"], stated, self._address(container.pod)))
            else:
                raise TargetUnknown("invalid handler: one of exec, httpGet and sleep is needed")
        return ""


async def _within(timeout_s: float, asking: Awaitable[Verdict], what: str) -> Verdict:
    """Await an answer of the network's for so long; that there is none is a failure of who should give it."""
    try:
        async with asyncio.timeout(timeout_s):
            return await asking
    except TimeoutError:
        return Outcome.FAILURE, f"{what}: context deadline exceeded after {timeout_s:g}s"
    except (OSError, AnswerMalformed, grpchealth.AnswerMalformed, UnicodeError) as error:
        return Outcome.FAILURE, f"{what}: {error}"


async def _ask_http(target: HttpTarget) -> Verdict:
    for _ in range(REDIRECTS):
        head = await fetch(target)
        if head.status in _FOLLOWED and head.location:
            onward = target.redirected(head.location)
            if onward is None:
                return Outcome.WARNING, f"Probe terminated redirects, to {head.location!r}"
            target = onward
        elif 200 <= head.status < 400:
            return Outcome.SUCCESS, ""
        else:
            return Outcome.FAILURE, f"HTTP probe failed with statuscode: {head.status}"
    return Outcome.FAILURE, f"Get {target.url!r}: stopped after {REDIRECTS} redirects"


async def _ask_tcp(host: str, port: int) -> Verdict:
    _, writer = await asyncio.open_connection(host, port)
    writer.transport.abort()
    return Outcome.SUCCESS, ""


async def _ask_grpc(host: str, port: int, service: str) -> Verdict:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(grpchealth.request(service, authority(host, port)))
        check = grpchealth.Check()
        while data := await reader.read(_CHUNK_BYTES):
            health = check.receive(data)
            writer.write(check.data_to_send())
            if health is grpchealth.Health.SERVING:
                return Outcome.SUCCESS, ""
            if health is not None:
                return Outcome.FAILURE, f'service unhealthy (responded with "{health.name}")'
        raise ConnectionResetError("the server ended the connection")
    finally:
        writer.transport.abort()


def _is_own(address: str) -> bool:
    """Tell whether the address is one of this device's; asks the kernel, not the network."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def _spec_of(pod: Body, name: str) -> Body:
    parts = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    found: Body = next((one for one in parts if one["name"] == name), {})
    return found


def _text(result: ExecResult) -> str:
    return result.output.decode("utf-8", "replace").strip()


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}…"
