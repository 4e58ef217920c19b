"""Containers, from their specs to where Docker has made them: image, files beside them, configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgecore.pods.runtimes.base import ContainerSpec, StartRefused, Teller
from edgecore.pods.runtimes.docker import configs, labels, states
from edgecore.pods.runtimes.docker.engine import Engine, EngineError
from edgecore.pods.runtimes.docker.images import Images
from edgecore.pods.runtimes.docker.lastwords import LastWords
from edgecore.pods.runtimes.docker.sandboxes import Sandbox
from edgecore.pods.runtimes.docker.settings import DockerSettings

CREATE_ERROR: Final = "CreateContainerError"
"""The reason where the engine does not make a container as specified."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container is made.

    Attributes:
        sandbox: The pod's sandbox; without an address where that is not known yet.
        group: The control group, or slice, that its own is made in; empty for the engine's choice.
        oom_floor: The engine may set no ``oom_score_adj`` below this.
        podman: Whether the engine is Podman.
    """

    sandbox: Sandbox
    group: str
    oom_floor: int
    podman: bool


class Creation:
    """Makes containers, and starts none.

    Args:
        engine: The engine.
        settings: The runtime's settings.
        images: Fetches images.
        last_words: Lays out termination messages.
    """

    def __init__(self, engine: Engine, settings: DockerSettings, images: Images, last_words: LastWords) -> None:
        self._engine = engine
        self._settings = settings
        self._images = images
        self._last_words = last_words

    async def create(self, spec: ContainerSpec, place: Place, tell: Teller) -> str:
        """Fetch the image and create the container; returns Docker's id.

        The sandbox need not run yet.

        Raises:
            StartRefused: The image cannot be had, or the container not be made as specified.
            OSError: The engine failed.
        """
        image = await self._images.ensure(spec, tell)
        around = configs.Surroundings(
            sandbox=place.sandbox.id,
            address=place.sandbox.address,
            image=image,
            image_id=states.image_id_of(image),
            termination_file=self._last_words.lay_out(spec.id),
            seccomp=self._seccomp(spec.security.seccomp),
            podman=place.podman,
            oom_floor=place.oom_floor,
            group=place.group,
        )
        config = configs.container_config(spec, around, self._settings)
        try:
            # An agent that died right here left one of that name that nobody took note of; it is replaced.
            docker_id = await self._engine.create(config, labels.name_of_container(spec))
        except EngineError as error:
            raise StartRefused(CREATE_ERROR, error.message) from None
        await tell("Created", f"Created container {spec.id.name}", False)
        return docker_id

    def _seccomp(self, profile: str) -> str:
        """Return the content of a profile of this node, or empty where none is named.

        Raises:
            StartRefused: It cannot be read.
        """
        if not profile.startswith("localhost/"):
            return ""
        path = self._settings.seccomp_dir / profile.removeprefix("localhost/")
        try:
            if not path.resolve().is_relative_to(self._settings.seccomp_dir.resolve()):
                raise PermissionError(f"{path} is not below {self._settings.seccomp_dir}")
            return path.read_text()
        except (OSError, ValueError) as error:
            message = f"cannot load seccomp profile {path}: {error}"
            raise StartRefused(CREATE_ERROR, message) from None
