"""The engine's API as this runtime uses it: a thin layer over aiodocker, and the only one that knows it.

Every failure leaves here as :class:`EngineError`, or as :class:`RuntimeUnavailable` where nothing answers. One
session with a pool of connections serves all calls; the stream of events holds one of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiodocker import Docker, DockerError
from aiodocker.exceptions import DockerStreamError

from edgecore.pods.runtimes.base import RuntimeUnavailable
from edgecore.pods.runtimes.docker.labels import OWNER
from protocol.errors import AiokubeedgeError

Answer = Mapping[str, Any]

NOT_FOUND: Final = 404
CONFLICT: Final = 409
_NO_CONNECTION: Final = 900
"""What aiodocker calls a status where there was no answer."""

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class EngineError(AiokubeedgeError, OSError):
    """The engine answered, and not with what was asked for.

    Args:
        status: HTTP status.
        message: The engine's own words.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class About:
    """What is known of an engine.

    Attributes:
        version: Its version.
        architecture: As Go spells it.
        podman: Whether it is Podman behind a compatible socket.
        folder: Where it keeps images, on its host.
        cgroup_driver: Who makes its containers' control groups: ``cgroupfs``, ``systemd``, or ``none``.
    """

    version: str
    architecture: str
    podman: bool
    folder: str
    cgroup_driver: str = ""


@dataclass(frozen=True, slots=True)
class ExecEnd:
    """How a command run in a container stands.

    Attributes:
        running: Whether it still runs.
        exit_code: Its exit code once it does not.
        pid: Its process on the engine's host; 0 where it has none.
    """

    running: bool
    exit_code: int
    pid: int


class Engine:
    """A connection to an engine. Makes none until the first call.

    Args:
        host: Where it listens: ``unix://…``, ``tcp://…`` or ``ssh://…``.
        owner: Whose containers are meant.
        timeout_s: How long an ordinary call may take.
    """

    def __init__(self, host: str, owner: str, timeout_s: float) -> None:
        self._owner = owner
        self._timeout_s = timeout_s
        self._host = host
        self._docker: Docker | None = None

    @property
    def _api(self) -> Docker:
        if self._docker is None:
            self._docker = Docker(url=self._host, timeout=aiohttp.ClientTimeout(total=self._timeout_s))
        return self._docker

    async def about(self) -> About:
        """Return what it is; the first call."""
        with _asking():
            version, info = await self._api.version(), await self._api.system.info()
        names = [str(part.get("Name", "")) for part in version.get("Components") or ()]
        machine = str(info.get("Architecture", ""))
        return About(
            version=str(version.get("Version", "")),
            architecture=_ARCHITECTURES.get(machine, machine),
            podman=any("podman" in name.lower() for name in names),
            folder=str(info.get("DockerRootDir") or ""),
            cgroup_driver=str(info.get("CgroupDriver") or ""),
        )

    async def close(self) -> None:
        """Close every connection; the next call makes a new one."""
        if self._docker is not None:
            await self._docker.close()
            self._docker = None

    # --- containers -----------------------------------------------------------------------------------------------

    async def list(self, *more_labels: str) -> list[str]:
        """Return the ids of the owner's containers, running or not, that carry the labels too."""
        filters = {"label": [f"{OWNER}={self._owner}", *more_labels]}
        with _asking():
            found = await self._api.containers.list(all="true", filters=json.dumps(filters))
        return [container.id for container in found]

    async def inspect(self, container: str) -> Answer | None:
        """Return all about a container, by name or id; None where there is none."""
        try:
            with _asking():
                return await self._api.containers.container(container).show()
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def create(self, config: Answer, name: str) -> str:
        """Create a container and return its id; one that has the name already is removed."""
        try:
            with _asking():
                return (await self._api.containers.create(dict(config), name=name)).id
        except EngineError as error:
            if error.status != CONFLICT:
                raise
        await self.remove(name)
        with _asking():
            return (await self._api.containers.create(dict(config), name=name)).id

    async def start(self, container: str) -> None:
        """Start a container; one that runs is left alone."""
        with _asking():
            await self._api.containers.container(container).start()

    async def kill(self, container: str, signal: str) -> None:
        """Send a signal to a container's first process; one that is gone or has ended is left alone."""
        try:
            with _asking():
                await self._api.containers.container(container).kill(signal=signal)
        except EngineError as error:
            if error.status not in (NOT_FOUND, CONFLICT) and "not running" not in error.message:
                raise

    async def remove(self, container: str) -> None:
        """Kill and remove a container with its anonymous volumes; one that is gone is left alone."""
        try:
            with _asking():
                await self._api.containers.container(container).delete(force=True, v=True)
        except EngineError as error:
            # A conflict: another removal is under way.
            if error.status not in (NOT_FOUND, CONFLICT):
                raise

    async def events(self, since: float) -> AsyncGenerator[Answer, None]:
        """Yield ends of the owner's containers from ``since`` (seconds since the epoch) on, until the stream breaks."""
        # The second name is Podman's.
        filters = {"type": ["container"], "event": ["die", "died"], "label": [f"{OWNER}={self._owner}"]}
        with _asking():
            query = self._api._query(  # noqa: SLF001 - its own reader of events has a queue without a bound
                "events",
                params={"since": f"{since:.6f}", "filters": json.dumps(filters)},
                timeout=aiohttp.ClientTimeout(total=None, connect=self._timeout_s),
            )
            async with query as response:
                try:
                    while line := await response.content.readline():
                        yield json.loads(line)
                finally:
                    response.close()

    # --- commands and logs ----------------------------------------------------------------------------------------

    async def exec(self, container: str, argv: Sequence[str]) -> str:
        """Make ready to run a command in a container and return the id to :meth:`run` it by."""
        with _asking():
            return (await self._api.containers.container(container).exec(list(argv))).id

    async def run(self, exec_id: str) -> AsyncGenerator[bytes, None]:
        """Run it, yielding what it prints to its end."""
        with _asking():
            stream = self._api.containers.exec(exec_id).start(detach=False)
            async with stream:
                while (message := await stream.read_out()) is not None:
                    yield message.data

    async def exec_end(self, exec_id: str) -> ExecEnd:
        """Return how a command stands."""
        with _asking():
            found = await self._api.containers.exec(exec_id).inspect()
        code = found.get("ExitCode")
        return ExecEnd(bool(found.get("Running")), 0 if code is None else int(code), int(found.get("Pid") or 0))

    async def logs(self, container: str, *, tail: int | None, since: float, follow: bool) -> AsyncGenerator[str, None]:
        """Yield a container's log as timed lines, without saying which stream they came from."""
        options: dict[str, Any] = {"stdout": True, "stderr": True, "timestamps": True, "since": f"{since:.6f}"}
        options["tail"] = "all" if tail is None else str(tail)
        with _asking():
            if not follow:
                for line in await self._api.containers.container(container).log(**options):
                    yield line
                return
            async for line in self._api.containers.container(container).log(follow=True, **options):
                yield line

    # --- images ---------------------------------------------------------------------------------------------------

    async def image(self, name: str) -> Answer | None:
        """Return all about an image, by name or id; None where there is none."""
        try:
            with _asking():
                return await self._api.images.inspect(name)
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def images(self) -> Sequence[Answer]:
        """Return every image there is."""
        with _asking():
            return await self._api.images.list()

    async def used_images(self) -> set[str]:
        """Return the ids of the images that some container on the engine was made from, whosoever it is."""
        with _asking():
            found = await self._api.containers.list(all="true")
        return {str(container["ImageID"]) for container in found}

    async def pull(self, name: str, auth: Mapping[str, str] | None) -> AsyncGenerator[Answer, None]:
        """Fetch an image from its registry, yielding the engine's words on how it goes."""
        with _asking():
            stream = self._api.images.pull(name, auth=dict(auth) if auth else None, stream=True)
            async for said in stream:
                yield said

    async def load(self, archive: bytes) -> None:
        """Take in an image from an archive as ``docker save`` writes it."""
        with _asking():
            await self._api.images.import_image(archive)

    async def remove_image(self, image: str) -> None:
        """Remove an image, all its names; one that is gone or in use is left alone."""
        try:
            with _asking():
                await self._api.images.delete(image, force=True)
        except EngineError as error:
            if error.status not in (NOT_FOUND, CONFLICT):
                raise


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except DockerStreamError as error:
        raise EngineError(500, error.message) from error
    except DockerError as error:
        if error.status == _NO_CONNECTION:
            raise RuntimeUnavailable(f"the Docker daemon does not answer: {error.message}") from error
        raise EngineError(error.status, error.message.strip()) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise RuntimeUnavailable(f"the Docker daemon broke off: {error}") from error
    except TimeoutError as error:
        raise RuntimeUnavailable("the Docker daemon does not answer in time") from error
