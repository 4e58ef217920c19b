"""Sandboxes: one container per pod that holds what its other containers share, above all its network address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from edgecore.pods.runtimes.base import StartRefused
from edgecore.pods.runtimes.docker import configs, labels, states
from edgecore.pods.runtimes.docker.engine import Engine, EngineError
from edgecore.pods.runtimes.docker.settings import DockerSettings
from edgecore.pods.runtimes.specs import SandboxSpec
from protocol.objects.keys import Uid

_RESOLV_CONF: Final = Path("/etc/resolv.conf")
_LEAST_OOM_SCORE: Final = -1000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod's sandbox.

    Attributes:
        id: Docker's id.
        address: The pod's own IP address, or empty.
    """

    id: str
    address: str


@dataclass(frozen=True, slots=True)
class _Laid:
    """A sandbox that is made and not started yet, and what its ``oom_score_adj`` was bounded by."""

    id: str
    floor: int


class Sandboxes:
    """Makes and forgets sandboxes. Calls for one pod do not overlap.

    Args:
        engine: The engine.
        settings: The runtime's settings.
        resolver: Reads how the node resolves names.
    """

    def __init__(
        self,
        engine: Engine,
        settings: DockerSettings,
        resolver: Callable[[], configs.HostResolver] | None = None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._resolver = resolver or host_resolver
        self._held: dict[Uid, Sandbox] = {}
        self._laid: dict[Uid, _Laid] = {}
        self.oom_floor = _LEAST_OOM_SCORE

    @property
    def held(self) -> Mapping[Uid, Sandbox]:
        """The sandboxes there are, by pod."""
        return self._held

    def adopt(self, pod: Uid, inspected: Mapping[str, Any]) -> None:
        """Take over a sandbox that an earlier agent made."""
        self._held[pod] = Sandbox(inspected["Id"], states.address_of(inspected))
        if int((inspected.get("HostConfig") or {}).get("OomScoreAdj") or 0) == 0:
            self.oom_floor = 0

    async def lay(self, spec: SandboxSpec, image: str, group: str = "") -> str | None:
        """Create the pod's sandbox, where there is none; :meth:`ensure`, which is to follow at once, starts it.

        Returns:
            Docker's id; None where the engine refuses: :meth:`ensure` then tells why.

        Raises:
            OSError: The engine failed.
        """
        floor = self.oom_floor
        try:
            laid = await self._create(spec, image, group, floor)
        except EngineError:
            return None
        self._laid[spec.pod] = _Laid(laid, floor)
        return laid

    async def ensure(self, spec: SandboxSpec, image: str, group: str = "") -> Sandbox:
        """Return the pod's sandbox, which runs then.

        Args:
            spec: What the pod's containers share.
            image: The sandbox's image.
            group: The control group, or slice, that its own is made in.

        Raises:
            StartRefused: It cannot be made as specified.
            OSError: The engine failed.
        """
        held = self._held.get(spec.pod)
        inspected = await self._engine.inspect(held.id) if held is not None else None
        if held is None or inspected is None:
            return await self._make(spec, image, group)
        return held if states.is_running(inspected) else await self._wake(spec.pod, held)

    async def _wake(self, pod: Uid, held: Sandbox) -> Sandbox:
        """Start a sandbox again that has ended; it may get another address."""
        try:
            await self._engine.start(held.id)
        except EngineError as error:
            raise StartRefused("CreatePodSandboxError", f"Failed to start pod sandbox: {error.message}") from None
        inspected = await self._engine.inspect(held.id)
        self._held[pod] = Sandbox(held.id, states.address_of(inspected or {}))
        return self._held[pod]

    async def _make(self, spec: SandboxSpec, image: str, group: str) -> Sandbox:
        # Kept: another pod's sandbox may find out meanwhile that this is too low.
        laid = self._laid.pop(spec.pod, None)
        floor = self.oom_floor if laid is None else laid.floor
        try:
            inspected = await self._try(spec, image, group, floor, laid)
        except EngineError as error:
            if floor == 0:
                raise _refusal(error) from None
            inspected = await self._try_unprivileged(spec, image, group, error)
        if inspected is None:
            raise StartRefused("CreatePodSandboxError", "Failed to create pod sandbox: it is gone at once")
        sandbox = Sandbox(inspected["Id"], states.address_of(inspected))
        self._held[spec.pod] = sandbox
        return sandbox

    async def _try(
        self, spec: SandboxSpec, image: str, group: str, floor: int, laid: _Laid | None = None
    ) -> Mapping[str, Any] | None:
        try:
            made = await self._create(spec, image, group, floor) if laid is None else laid.id
            await self._engine.start(made)
        except EngineError:
            await self._engine.remove(labels.name_of_sandbox(spec))
            raise
        return await self._engine.inspect(made)

    async def _create(self, spec: SandboxSpec, image: str, group: str, floor: int) -> str:
        config = configs.sandbox_config(spec, self._settings, image, self._resolver(), oom_floor=floor, group=group)
        # What an agent left behind that died right here has the name, and is replaced.
        return await self._engine.create(config, labels.name_of_sandbox(spec))

    async def _try_unprivileged(
        self, spec: SandboxSpec, image: str, group: str, error: EngineError
    ) -> Mapping[str, Any] | None:
        """Try again as an engine must that may not shield processes from the kernel's choice of victims.

        Such an engine (rootless, or itself in a container) fails with words that name everything but the cause.
        """
        try:
            inspected = await self._try(spec, image, group, 0)
        except EngineError:
            raise _refusal(error) from None
        if self.oom_floor != 0:
            self.oom_floor = 0
            log.warning(
                "the Docker daemon may not lower oom_score_adj: Guaranteed pods are not shielded", why=error.message
            )
        return inspected

    async def release(self, pod: Uid) -> None:
        """End the pod's sandbox, where there is one; its containers, which name it, go before it is removed.

        Raises:
            OSError: It may still run.
        """
        held = self._held.get(pod)
        if held is not None:
            await self._engine.kill(held.id, "SIGKILL")

    def forget(self, pod: Uid) -> None:
        """Know no sandbox of the pod any more."""
        self._held.pop(pod, None)


def _refusal(error: EngineError) -> StartRefused:
    return StartRefused("CreatePodSandboxError", f"Failed to create pod sandbox: {error.message}")


def host_resolver(path: Path = _RESOLV_CONF) -> configs.HostResolver:
    """Return how the node resolves names; nothing where its file cannot be read."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return configs.HostResolver()
    found: dict[str, list[str]] = {"nameserver": [], "search": [], "options": []}
    for line in lines:
        word, *rest = line.split() or [""]
        if word == "nameserver":
            found[word] += rest[:1]
        elif word in found:
            found[word] = rest
    return configs.HostResolver(tuple(found["nameserver"]), tuple(found["search"]), tuple(found["options"]))
