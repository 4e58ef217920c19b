"""What of a pod is kept on the device besides its containers: volumes, and notes for the next agent. The interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edgecore.pods.events import Remembered
from edgecore.pods.projection import is_projected, volume_files
from edgecore.pods.runtimes.base import Mount
from edgecore.pods.sources import ReferenceMissing, Sources
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Body, Uid


class VolumeUnavailable(AiokubeedgeError):
    """A volume cannot be had now; the message says which and why."""


@dataclass(frozen=True, slots=True)
class VolumeUsage:
    """What a volume takes.

    Attributes:
        size_bytes: Of the disk, or of memory for a volume there: blocks, not lengths of files.
        inodes: Files, folders and links, itself included; what has two names counts once.
        in_memory: Whether it is memory that is taken.
    """

    size_bytes: int
    inodes: int
    in_memory: bool = False


class PodStorage(Protocol):
    """Keeps pods' volumes and notes. Calls for different pods may overlap, calls for one pod do not."""

    async def load(self) -> Mapping[Uid, Remembered]:
        """Return a note for every pod that something is kept of; one without its name where it cannot be read."""

    async def remember(self, uid: Uid, note: Remembered) -> None:
        """Replace the pod's note, whole or not at all.

        Raises:
            OSError: The disk refuses.
        """

    async def prepare(self, pod: Body, sources: Sources) -> None:
        """Bring the pod's volumes to disk, or up to date with ``sources``.

        Raises:
            VolumeUnavailable: One is of an unknown kind, or what it names is missing.
            OSError: The disk refuses.
        """

    def mounts(self, pod: Body, container: Body, variables: Mapping[str, str]) -> tuple[Mount, ...]:
        """Return the container's ``volumeMounts``; the volumes have been prepared.

        Args:
            pod: The pod.
            container: Its spec.
            variables: Its environment, for ``subPathExpr``.

        Raises:
            StartRefused: A mount names no volume, or leaves it.
        """

    async def usage(self, pod: Body) -> Mapping[str, VolumeUsage]:
        """Return what those of the pod's volumes take that live and die with it, by name; may be some seconds old.

        Claims and folders of the host are not the pod's. One that cannot be measured now is left out.
        """

    async def release(self, uid: Uid) -> None:
        """Remove the pod's volumes, not the host's folders they may name.

        Raises:
            OSError: Something remains.
        """

    async def remove(self, uid: Uid) -> None:
        """Remove everything of the pod.

        Raises:
            OSError: Something remains.
        """


class MemoryStorage:
    """Implements :class:`PodStorage` without a disk: notes live as long as the object, volumes hold nothing."""

    def __init__(self) -> None:
        self._notes: dict[Uid, Remembered] = {}

    async def load(self) -> Mapping[Uid, Remembered]:
        """Return every note."""
        return dict(self._notes)

    async def remember(self, uid: Uid, note: Remembered) -> None:
        """Replace the pod's note."""
        self._notes[uid] = note

    async def prepare(self, pod: Body, sources: Sources) -> None:
        """Check that what the pod's volumes name is there."""
        check_volumes(pod, sources)

    def mounts(self, pod: Body, container: Body, variables: Mapping[str, str]) -> tuple[Mount, ...]:
        """Return no mounts."""
        return ()

    async def usage(self, pod: Body) -> Mapping[str, VolumeUsage]:
        """Nothing is taken."""
        return {}

    async def release(self, uid: Uid) -> None:
        """Nothing is held."""

    async def remove(self, uid: Uid) -> None:
        """Forget the note."""
        self._notes.pop(uid, None)


def check_volumes(pod: Body, sources: Sources) -> None:
    """Raise :class:`VolumeUnavailable` when something that a volume of the pod is made of is missing."""
    for volume in pod["spec"].get("volumes") or ():
        if is_projected(volume):
            try:
                volume_files(volume, pod, sources)
            except ReferenceMissing as error:
                raise VolumeUnavailable(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from None
