"""The Docker runtime as the agent holds it.

Concurrency: everything runs on the event loop. One task follows the engine's events and tells of ends; it is level-
based: whenever it has (re)connected it compares what it knows with what there is, so events that were lost change
nothing. Another removes unused images now and then. Both belong to the runtime from ``open`` to ``close``. Calls for
one pod do not overlap (the interface's rule), but an end may be heard of before the answer to the start.
"""

from __future__ import annotations

import asyncio
import signal as signals
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

import structlog

from edgecore.cgroups.controls import PodGroups
from edgecore.pods.runtimes.base import (
    ContainerId,
    ContainerSpec,
    ContainerState,
    ExecResult,
    ExecTimedOut,
    Exit,
    ExitListener,
    NotRunning,
    RuntimeUnavailable,
    StartRefused,
    Teller,
    silent,
)
from edgecore.pods.runtimes.docker import labels, states
from edgecore.pods.runtimes.docker.commands import Commands
from edgecore.pods.runtimes.docker.creation import CREATE_ERROR, Creation, Place
from edgecore.pods.runtimes.docker.engine import About, Answer, Engine, EngineError
from edgecore.pods.runtimes.docker.garbage import ImageGarbage
from edgecore.pods.runtimes.docker.groups import parent_of
from edgecore.pods.runtimes.docker.honoured import HONOURED
from edgecore.pods.runtimes.docker.images import Images
from edgecore.pods.runtimes.docker.lastwords import LastWords
from edgecore.pods.runtimes.docker.sandboxes import Sandbox, Sandboxes
from edgecore.pods.runtimes.docker.settings import DockerSettings
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.backoff import LOCAL
from protocol.objects.keys import Uid

log = structlog.get_logger(__name__)

_OVERLAP_S: Final = 5.0
"""Events are asked for from so long before the moment of asking: what is told twice changes nothing."""


class DockerRuntime:
    """Implements :class:`edgecore.pods.runtimes.base.Runtime` with containers of a Docker Engine or Podman.

    ``signal`` reaches an instance's first process, as with every container runtime; SIGKILL ends them all.

    Args:
        settings: See :class:`DockerSettings`.
        engine: A connection, for tests; by default one to ``settings.host``.
        rng: Source of jitter.
        wall: Reads the time, seconds since the epoch.
        groups: Holds pods within their limits; without it, the engine holds their containers alone.
    """

    name = "docker"
    honours = HONOURED

    @property
    def own_networks(self) -> bool:
        """Whether pods have networks of their own: they share the network that the settings name."""
        return self._settings.network not in ("host", "none")

    def __init__(
        self,
        settings: DockerSettings,
        *,
        engine: Engine | None = None,
        rng: Random | None = None,
        wall: Callable[[], float] = time.time,
        groups: PodGroups | None = None,
    ) -> None:
        self._settings = settings
        self._groups = groups or PodGroups()
        self._engine = engine or Engine(settings.host, settings.owner, settings.answer_timeout_s)
        self._rng = rng or SystemRandom()
        self._wall = wall
        self._images = Images(self._engine, settings)
        self._sandboxes = Sandboxes(self._engine, settings)
        self._commands = Commands(self._engine)
        self._last_words = LastWords(settings.root, self._engine)
        self._creation = Creation(self._engine, settings, self._images, self._last_words)
        self._about: About | None = None
        self._pause = ""
        self._known: dict[ContainerId, ContainerState] = {}
        self._starting: set[ContainerId] = set()
        self._listener: ExitListener = lambda state: None
        self._life: asyncio.Task[None] | None = None
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why the engine cannot be had; empty while it answers."""
        return self._problem

    # --- life -----------------------------------------------------------------------------------------------------

    async def open(self, listener: ExitListener) -> Sequence[ContainerState]:
        """Find every container of this agent again; what was made and never started is removed."""
        self._listener = listener
        since = self._wall() - _OVERLAP_S
        try:
            about = await self._engine.about()
            await self._find()
        except OSError as error:
            self._problem = str(error)
            raise RuntimeUnavailable(self._problem) from error
        self._healthy()
        self._about = about
        # Owned by this runtime, from here until it is closed.
        self._life = asyncio.create_task(self._live(since, about), name="docker")
        return list(self._known.values())

    @property
    def image_folder(self) -> str:
        """The folder that holds the images; empty while it is not known or not on this host."""
        return self._about.folder if self._about is not None else ""

    async def free_disk(self) -> None:
        """Remove what nobody uses, for the node is short of disk space.

        Raises:
            OSError: The engine does not answer.
        """
        if self._about is not None:
            await ImageGarbage(self._engine, self._settings, self._about).free()

    async def _live(self, since: float, about: About) -> None:
        garbage = ImageGarbage(self._engine, self._settings, about)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(since), name="docker-events")
            tasks.create_task(garbage.run(), name="docker-garbage")

    async def _find(self) -> None:
        found = [await self._engine.inspect(docker_id) for docker_id in await self._engine.list()]
        sandboxes: dict[Uid, Answer] = {}
        containers: list[Answer] = []
        for inspected in filter(None, found):
            tags = inspected["Config"]["Labels"]
            if tags.get(labels.TYPE) == labels.SANDBOX:
                pod = Uid(tags.get(labels.POD_UID, ""))
                sandboxes[pod] = inspected
                self._sandboxes.adopt(pod, inspected)
            else:
                containers.append(inspected)
        for inspected in containers:  # after the sandboxes, whose addresses are theirs
            state = await self._state(inspected)
            if state is None:
                await self._engine.remove(inspected["Id"])
            else:
                self._known[state.id] = state
        self._known = dict(sorted(self._known.items()))
        for pod in sandboxes.keys() - {container.pod for container in self._known}:
            self._sandboxes.forget(pod)
            await self._engine.remove(sandboxes[pod]["Id"])

    async def close(self) -> None:
        """Stop listening and close every connection; containers go on."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait([self._life])
            self._life = None
        await self._engine.close()

    # --- starting -------------------------------------------------------------------------------------------------

    async def prepare(self, sandbox: SandboxSpec) -> str:
        """Make the pod's sandbox, where it is missing, and return its address."""
        pause, group = await self._pause_image(), await self._group(sandbox)
        return (await self._sandbox(sandbox, pause, group)).address

    async def _pause_image(self) -> str:
        if self._about is None:
            raise RuntimeUnavailable("the Docker daemon has not answered yet")
        if not self._pause:
            self._pause = await self._images.ensure_pause(self._about)
        return self._pause

    async def _sandbox(self, sandbox: SandboxSpec, pause: str, group: str) -> Sandbox:
        try:
            return await self._sandboxes.ensure(sandbox, pause, group)
        except StartRefused:
            self._pause = ""  # Perhaps its image was removed: look again.
            raise

    async def _group(self, sandbox: SandboxSpec) -> str:
        try:
            return await parent_of(sandbox, self._groups, self._about, self._settings.host)
        except ValueError as error:
            raise StartRefused("CreatePodSandboxError", str(error)) from None

    async def start(self, spec: ContainerSpec, tell: Teller = silent) -> ContainerState:
        """Fetch the image, create the container in the pod's sandbox and start it."""
        if spec.id in self._known:
            return self._known[spec.id]
        if any(known[:2] == spec.id[:2] and known.attempt > spec.id.attempt for known in self._known):
            # The machine has not heard yet of what was found when the engine came back.
            raise StartRefused("RunContainerError", f"a later instance of container {spec.id.name} exists")
        await self._forget_before(spec.id)
        shared = spec.sandbox or SandboxSpec(spec.id.pod, spec.namespace, spec.pod_name)
        docker_id = await self._lay(spec, shared, tell)
        self._starting.add(spec.id)
        try:
            inspected = await self._begin(docker_id)
            state = await self._state(inspected)
            if state is None:
                why = inspected["State"].get("Error") or "the container did not start"
                raise StartRefused("RunContainerError", why)
            self._note(state)
        finally:
            self._starting.discard(spec.id)
        return self._known[spec.id]

    async def _lay(self, spec: ContainerSpec, shared: SandboxSpec, tell: Teller) -> str:
        """Create the container in its pod's sandbox, which runs then; returns its id.

        A pod's first is created while the sandbox starts, which takes Docker longer: a container may name a sandbox
        that does not run yet. The sandbox's address is not known then, and is not among the container's labels.
        """
        pause, group = await self._pause_image(), await self._group(shared)
        laid = None
        if shared.pod not in self._sandboxes.held:
            laid = await self._sandboxes.lay(shared, pause, group)
        if laid is None:
            sandbox = await self._sandbox(shared, pause, group)
            return await self._creation.create(spec, self._place(sandbox, group), tell)
        try:
            async with asyncio.TaskGroup() as tasks:
                raising = tasks.create_task(self._sandbox(shared, pause, group), name="docker-sandbox")
                place = self._place(Sandbox(laid, ""), group)
                creating = tasks.create_task(self._try_create(spec, place, tell), name="docker-create")
        except ExceptionGroup as failed:
            await self._engine.remove(labels.name_of_container(spec))
            raise failed.exceptions[0] from None
        sandbox, created = raising.result(), creating.result()
        lost = sandbox.id != laid  # it did not start as it was made first, and nothing can join that one any more
        if isinstance(created, StartRefused) and not (lost and created.reason == CREATE_ERROR):
            raise created
        if lost or isinstance(created, StartRefused):
            return await self._creation.create(spec, self._place(sandbox, group), tell)
        return created

    async def _try_create(self, spec: ContainerSpec, place: Place, tell: Teller) -> str | StartRefused:
        """Create the container; a refusal is an answer, so that it does not break off the sandbox's start."""
        try:
            return await self._creation.create(spec, place, tell)
        except StartRefused as refusal:
            return refusal

    def _place(self, sandbox: Sandbox, group: str) -> Place:
        podman = self._about is not None and self._about.podman
        return Place(sandbox, group, self._sandboxes.oom_floor, podman)

    async def _begin(self, docker_id: str) -> Answer:
        """Start a container and return all about it; where it does not start, it is removed.

        Raises:
            StartRefused: It cannot be started as specified.
        """
        try:
            await self._engine.start(docker_id)
        except EngineError as error:
            await self._engine.remove(docker_id)
            raise StartRefused("RunContainerError", error.message) from None
        inspected = await self._engine.inspect(docker_id)
        if inspected is None:
            raise StartRefused("RunContainerError", "the container was removed as soon as it was started")
        return inspected

    async def _forget_before(self, container: ContainerId) -> None:
        """Remove the instances before the last one."""
        for other in [c for c in self._known if c[:2] == container[:2] and c.attempt < container.attempt - 1]:
            await self._engine.remove(_docker_id(self._known[other]))
            self._last_words.forget(other)
            del self._known[other]

    # --- what the engine says -------------------------------------------------------------------------------------

    async def _watch(self, since: float) -> None:
        retry = 0
        while True:
            try:
                if self._problem:
                    since = self._wall() - _OVERLAP_S
                    await self._compare()
                async for event in self._engine.events(since):
                    retry = 0
                    await self._heard(event)
                raise RuntimeUnavailable("the Docker daemon ended its stream of events")
            except OSError as error:
                self._trouble(str(error))
            except Exception as error:
                log.exception("what the Docker daemon says cannot be taken in")
                self._trouble(str(error))
            await asyncio.sleep(LOCAL.delay_s(retry, self._rng))
            retry += 1

    def _trouble(self, why: str) -> None:
        if not self._problem:
            log.warning("the Docker daemon is lost; trying until it is back", cause=why)
        self._problem = why or "the Docker daemon does not answer"

    def _healthy(self) -> None:
        if self._problem:
            log.info("the Docker daemon is back")
        self._problem = ""

    async def _compare(self) -> None:
        """Look at every instance and sandbox that should run.

        Raises:
            OSError: The engine does not answer.
        """
        await self._engine.about()
        for state in [state for state in self._known.values() if state.exit is None]:
            await self._look(state.id, _docker_id(state))
        for pod, sandbox in list(self._sandboxes.held.items()):
            found = await self._engine.inspect(sandbox.id)
            if found is None or not states.is_running(found):
                await self._sandbox_died(pod)
        self._healthy()

    async def _heard(self, event: Answer) -> None:
        actor = event.get("Actor") or {}
        tags, docker_id = actor.get("Attributes") or {}, str(actor.get("ID", ""))
        pod = Uid(tags.get(labels.POD_UID, ""))
        if tags.get(labels.TYPE) == labels.SANDBOX:
            if pod in self._sandboxes.held and self._sandboxes.held[pod].id == docker_id:
                await self._sandbox_died(pod)
            return
        container = labels.container_of(tags)
        if container is not None:
            await self._look(container, docker_id)

    async def _sandbox_died(self, pod: Uid) -> None:
        """End what runs of a pod that has lost its sandbox: its containers would have different networks."""
        orphans = [state for state in self._known.values() if state.id.pod == pod and state.exit is None]
        if orphans:
            log.warning("a pod has lost its sandbox; its containers are started again", pod=pod)
        for state in orphans:
            await self._engine.kill(_docker_id(state), "SIGKILL")

    async def _look(self, container: ContainerId, docker_id: str) -> None:
        inspected = await self._engine.inspect(docker_id)
        if inspected is not None:
            state = await self._state(inspected)
            # One that is neither known nor being started is on its way out with its pod.
            if state is not None and (container in self._known or container in self._starting):
                self._note(state)
            return
        known = self._known.get(container)
        if known is not None and known.exit is None:
            gone = Exit(self._wall(), 137, 0, "ContainerStatusUnknown", "the container was removed from outside")
            self._note(replace(known, exit=gone))

    async def _state(self, inspected: Answer) -> ContainerState | None:
        state = states.state_of(inspected)
        if state is not None and not state.address and state.id.pod in self._sandboxes.held:
            state = replace(state, address=self._sandboxes.held[state.id.pod].address)
        if state is None or state.exit is None:
            return state
        from_log = inspected["Config"]["Labels"].get(labels.FROM_LOG) == "true" and state.exit.exit_code != 0
        message = await self._last_words.read(state.id, inspected["Id"], from_log=from_log)
        return replace(state, exit=replace(state.exit, message=message)) if message else state

    def _note(self, state: ContainerState) -> None:
        before = self._known.get(state.id)
        if before is not None and before.exit is not None:
            return
        self._known[state.id] = state
        if state.exit is not None:
            self._listener(state)

    # --- commands and logs ----------------------------------------------------------------------------------------

    async def exec(self, container: ContainerId, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Run a command in the instance."""
        state = self._known.get(container)
        if state is None or state.exit is not None:
            raise NotRunning(f"container {container.name} is not running")
        if self._groups.is_paused(container.pod):
            raise ExecTimedOut("the pod is paused")
        return await self._commands.exec(_docker_id(state), argv, timeout_s)

    def read_log(
        self, container: ContainerId, *, tail: int | None = None, since: float = 0.0, follow: bool = False
    ) -> AsyncIterator[str]:
        """Return the instance's log: pieces of text, each line of it led by its time.

        Args:
            container: The instance; of one that is unknown the log is empty.
            tail: How many lines from the end on; None for all that are kept.
            since: Seconds since the epoch; nothing older is returned.
            follow: Go on with what it prints until it ends.

        Raises:
            OSError: The engine failed.
        """
        state = self._known.get(container)
        if state is None:
            return _nothing()
        return self._engine.logs(_docker_id(state), tail=tail, since=since, follow=follow)

    def log_path(self, container: ContainerId) -> Path | None:
        """Return None: Docker keeps logs, within bounds; :meth:`read_log` reads them."""
        return None

    # --- stopping -------------------------------------------------------------------------------------------------

    async def signal(self, container: ContainerId, number: int) -> None:
        """Send a signal to the instance's first process; SIGTERM becomes the signal that its image asks for."""
        state = self._known.get(container)
        if state is None or state.exit is not None:
            return
        if self._groups.is_paused(container.pod):
            await self._groups.resume(container.pod)  # it could not end
        name = signals.Signals(number).name
        if number == signals.SIGTERM:
            inspected = await self._engine.inspect(_docker_id(state)) or {}
            name = (inspected.get("Config") or {}).get("StopSignal") or name
        await self._engine.kill(_docker_id(state), str(name))

    async def release_pod(self, pod: Uid) -> None:
        """End the pod's sandbox, and with it its network address."""
        await self._sandboxes.release(pod)

    async def remove_pod(self, pod: Uid) -> None:
        """Remove the pod's containers and files."""
        mine = [container for container in self._known if container.pod == pod]
        # Pods of other runtimes are not held up by an engine that does not answer.
        if not mine and pod not in self._sandboxes.held:
            return
        pod_label = f"{labels.POD_UID}={pod}"
        # In this order: Podman lets no sandbox go before the containers that joined it.
        found = await self._engine.list(pod_label, f"{labels.TYPE}={labels.CONTAINER}")
        found += await self._engine.list(pod_label, f"{labels.TYPE}={labels.SANDBOX}")
        dropped = {container: self._known.pop(container) for container in mine}
        try:
            for docker_id in found:
                await self._engine.remove(docker_id)
            self._sandboxes.forget(pod)
            await self._groups.remove_pod(pod)
            await asyncio.to_thread(self._last_words.forget_pod, pod)
        except OSError:
            self._known |= dropped
            raise


def _docker_id(state: ContainerState) -> str:
    return state.runtime_id.partition("://")[2]


async def _nothing() -> AsyncIterator[str]:
    empty: tuple[str, ...] = ()
    for text in empty:
        yield text
