"""Images that nobody uses any more, removed when the disk fills: the kubelet's rule. The plan is pure."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

import structlog

from edgecore.pods.runtimes.docker import pause
from edgecore.pods.runtimes.docker.engine import About, Engine
from edgecore.pods.runtimes.docker.settings import DockerSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds the images.

    Attributes:
        size_bytes: Its size.
        used_bytes: What is used of it.
    """

    size_bytes: int
    used_bytes: int

    @property
    def used(self) -> float:
        """The share in use, 0 to 1."""
        return self.used_bytes / self.size_bytes if self.size_bytes else 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image.

    Attributes:
        id: Its id.
        size_bytes: What removing it may free.
        last_used: When it was last seen in use, or first seen at all; monotonic seconds.
    """

    id: str
    size_bytes: int
    last_used: float


def plan(disk: Disk, candidates: Iterable[Candidate], settings: DockerSettings, now: float) -> list[str]:
    """Return the images to remove, those least recently used first, until the disk would be at its low mark.

    Args:
        disk: How full it is; below the high mark nothing is removed.
        candidates: The images that no container uses.
        settings: High and low mark, and for how long an image is kept after its last use.
        now: Monotonic seconds.
    """
    if disk.used < settings.image_high:
        return []
    to_free = disk.used_bytes - int(disk.size_bytes * settings.image_low)
    chosen: list[str] = []
    for one in sorted(candidates, key=lambda candidate: candidate.last_used):
        if to_free <= 0:
            break
        if now - one.last_used >= settings.image_min_age_s:
            chosen.append(one.id)
            to_free -= one.size_bytes
    return chosen


class Ages:
    """Remembers when each image was last seen in use."""

    def __init__(self) -> None:
        self._last_used: dict[str, float] = {}

    def look(self, images: Sequence[Mapping[str, object]], used: Set[str], now: float) -> list[Candidate]:
        """Take note of what is in use now, and return the images that are not."""
        present = {str(image["Id"]): int(str(image.get("Size") or 0)) for image in images}
        self._last_used = {image: now if image in used else self._last_used.get(image, now) for image in present}
        return [Candidate(image, present[image], self._last_used[image]) for image in present if image not in used]


class ImageGarbage:
    """Looks at the disk now and then and removes images.

    Args:
        engine: The engine.
        settings: The runtime's settings.
        about: Where the engine keeps its images; on another host nothing can be known of its disk.
        disk_of: Measures a file system.
    """

    def __init__(
        self,
        engine: Engine,
        settings: DockerSettings,
        about: About,
        disk_of: Callable[[str], Disk] | None = None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._folder = about.folder
        self._disk_of = disk_of or measure
        self._ages = Ages()

    async def run(self) -> None:
        """Go on until cancelled. An engine that does not answer is asked again next time."""
        while True:
            try:
                await self.collect(time.monotonic())
            except OSError as error:
                log.debug("images not looked at", cause=str(error))
            except Exception:
                log.exception("images cannot be looked at")
            await asyncio.sleep(self._settings.garbage_every_s)

    async def free(self) -> list[str]:
        """Remove every image that nobody uses, however new, and return them: the node is short of disk space.

        Raises:
            OSError: The engine does not answer.
        """
        return await self._remove([one.id for one in await self._unused(time.monotonic())])

    async def collect(self, now: float) -> list[str]:
        """Remove what is due and return it.

        Raises:
            OSError: The engine or the disk does not answer.
        """
        disk = self._disk_of(self._folder)
        return await self._remove(plan(disk, await self._unused(now), self._settings, now))

    async def _unused(self, now: float) -> list[Candidate]:
        images = await self._engine.images()
        used = await self._engine.used_images()
        kept = {str(image["Id"]) for image in images if _KEPT & set(image.get("RepoTags") or ())}
        kept |= {str(image["Id"]) for image in images if self._settings.pause_image in (image.get("RepoTags") or ())}
        return self._ages.look(images, used | kept, now)

    async def _remove(self, doomed: list[str]) -> list[str]:
        for image in doomed:
            log.info("removing an unused image: the disk is full", image=image)
            await self._engine.remove_image(image)
        return doomed


_KEPT: Final = frozenset({pause.NAME})


def measure(folder: str) -> Disk:
    """Return how full the file system of ``folder`` is.

    Raises:
        OSError: It is not on this host.
    """
    found = os.statvfs(folder)
    usable = found.f_blocks - (found.f_bfree - found.f_bavail)
    return Disk(usable * found.f_frsize, (found.f_blocks - found.f_bfree) * found.f_frsize)
