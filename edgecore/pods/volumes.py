"""Volumes and notes on the device's disk.

Below the root, per pod: ``<uid>/note.json``, ``<uid>/volumes/<name>``, and ``<uid>/subpaths/<container>/<n>``, where
parts of volumes are mounted. Disk work runs in threads, but for :meth:`DiskStorage.mounts`, which is a few system
calls. What kinds of volumes there are and how they are made is in :mod:`edgecore.pods.volumekinds`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import structlog

from edgecore.pods.environment import expand
from edgecore.pods.events import Remembered
from edgecore.pods.projection import is_projected, volume_files
from edgecore.pods.runtimes.base import Mount, StartRefused
from edgecore.pods.sources import ReferenceMissing, Sources
from edgecore.pods.storage import VolumeUnavailable, VolumeUsage
from edgecore.pods.trees import remove_tree
from edgecore.pods.volumekinds import mounting, subpaths
from edgecore.pods.volumekinds.atomic import project
from edgecore.pods.volumekinds.claims import Backing, backing, is_claim
from edgecore.pods.volumekinds.emptydirs import make_empty_dir
from edgecore.pods.volumekinds.hostpaths import check_host_path
from edgecore.pods.volumekinds.ownership import give_to_group
from edgecore.pods.volumekinds.usage import UsageMeter
from protocol.objects.keys import Body, Uid

log = structlog.get_logger(__name__)

_NOTE: Final = "note.json"
_UNKNOWN_GRACE_S: Final = 30.0


class DiskStorage:
    """Implements :class:`edgecore.pods.storage.PodStorage` below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._meter = UsageMeter()
        self._backings: dict[tuple[Uid, str], Backing] = {}
        """What stands behind each claim that has been prepared, by pod and volume."""
        self._given: set[tuple[Uid, str]] = set()
        """Volumes that belong to their pod's group by now."""

    # --- notes ----------------------------------------------------------------------------------------------------

    async def load(self) -> Mapping[Uid, Remembered]:
        """Return a note for each pod's folder.

        A note that is torn or missing was not written by the time the power went. What else is in the folder may still
        be somebody's: it is found again by the pod's uid, and goes when nobody wants that.
        """
        return await asyncio.to_thread(self._load)

    def _load(self) -> dict[Uid, Remembered]:
        self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
        return {Uid(folder.name): _read_note(folder) for folder in sorted(self._root.iterdir()) if folder.is_dir()}

    async def remember(self, uid: Uid, note: Remembered) -> None:
        """Replace the pod's note."""
        await asyncio.to_thread(self._remember, uid, note)

    def _remember(self, uid: Uid, note: Remembered) -> None:
        folder = self._made(uid)
        scratch = folder / f"{_NOTE}.new"
        with scratch.open("w") as file:
            json.dump(asdict(note), file)
            # A phase that is final must not come undone by a power cut.
            if note.status.get("phase") in ("Succeeded", "Failed"):
                file.flush()
                os.fsync(file.fileno())
        scratch.replace(folder / _NOTE)

    # --- volumes --------------------------------------------------------------------------------------------------

    async def prepare(self, pod: Body, sources: Sources) -> None:
        """Make or update each volume."""
        self._made(Uid(pod["metadata"]["uid"]))
        for volume in pod["spec"].get("volumes") or ():
            try:
                await self._prepare(pod, volume, sources)
            except (ReferenceMissing, VolumeUnavailable) as error:
                raise VolumeUnavailable(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from None
            except OSError as error:
                why = error.strerror or str(error)
                raise OSError(error.errno, f'MountVolume.SetUp failed for volume "{volume["name"]}" : {why}') from error

    async def _prepare(self, pod: Body, volume: Body, sources: Sources) -> None:
        path = self._volume_folder(pod, volume)
        if is_projected(volume):
            await asyncio.to_thread(project, path, volume_files(volume, pod, sources), _owner(pod))
        elif "emptyDir" in volume:
            await asyncio.to_thread(make_empty_dir, path, volume, pod, _shared_group(pod))
        elif "hostPath" in volume:
            source = volume["hostPath"]
            await asyncio.to_thread(check_host_path, source["path"], source.get("type") or "")
        elif is_claim(volume):
            await self._prepare_claim(pod, volume, backing(volume, pod, sources))
        else:
            kinds = ", ".join(sorted(set(volume) - {"name"})) or "none"
            raise VolumeUnavailable(f"volume source {kinds} is not supported on this node")

    async def _prepare_claim(self, pod: Body, volume: Body, found: Backing) -> None:
        uid = Uid(pod["metadata"]["uid"])
        users = {other for (other, _), held in self._backings.items() if held.claim == found.claim} - {uid}
        if users and found.exclusive:
            message = f'claim "{found.name}" has access mode ReadWriteOncePod and is in use by another pod'
            raise VolumeUnavailable(message)
        # Noted before the first wait, so that two pods never both take an exclusive claim.
        self._backings[uid, volume["name"]] = found
        try:
            await asyncio.to_thread(_check_backing, found)
            await self._give(uid, pod, volume, found)
        except BaseException:
            del self._backings[uid, volume["name"]]
            raise

    async def _give(self, uid: Uid, pod: Body, volume: Body, found: Backing) -> None:
        """Give a local volume to the pod's group, once; folders of the host stay whose they are, as in Kubernetes."""
        group = _shared_group(pod)
        if group is None or not found.local or (uid, volume["name"]) in self._given:
            return
        lenient = (pod["spec"].get("securityContext") or {}).get("fsGroupChangePolicy") == "OnRootMismatch"
        await asyncio.to_thread(
            give_to_group, Path(found.path), group, only_if_root_differs=lenient, read_only=found.read_only
        )
        self._given.add((uid, volume["name"]))

    # --- mounts ---------------------------------------------------------------------------------------------------

    def mounts(self, pod: Body, container: Body, variables: Mapping[str, str]) -> tuple[Mount, ...]:
        """Return where each of the container's mounts lies on the host."""
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
        found = []
        for number, mount in enumerate(container.get("volumeMounts") or ()):
            volume = volumes.get(mount["name"])
            if volume is None:
                raise StartRefused("CreateContainerConfigError", f"volumeMount names no volume: {mount['name']!r}")
            place = self._folder(Uid(pod["metadata"]["uid"])) / "subpaths" / container.get("name", "") / str(number)
            found.append(self._mount(pod, volume, mount, variables, place))
        return tuple(found)

    def _mount(self, pod: Body, volume: Body, mount: Body, variables: Mapping[str, str], place: Path) -> Mount:
        source, read_only = self._source(pod, volume)
        part = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
        if any("\0" in text for text in (str(source), part, mount["mountPath"])):
            raise StartRefused("CreateContainerConfigError", f"NUL in a path of volume {volume['name']!r}")
        if part:
            source = _part(source, part, place, agents_own=is_projected(volume))
        return Mount(
            source=source,
            path=mount["mountPath"],
            read_only=read_only or bool(mount.get("readOnly")),
            propagation=mount.get("mountPropagation") or "None",
        )

    def _source(self, pod: Body, volume: Body) -> tuple[Path, bool]:
        """Return where the volume is, and whether nothing may be written there."""
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"]), False
        if is_claim(volume):
            found = self._backings.get((Uid(pod["metadata"]["uid"]), volume["name"]))
            if found is None:
                raise StartRefused("CreateContainerConfigError", f"volume {volume['name']!r} is not prepared")
            return Path(found.path), found.read_only
        return self._volume_folder(pod, volume), is_projected(volume)

    # --- what they take -------------------------------------------------------------------------------------------

    async def usage(self, pod: Body) -> Mapping[str, VolumeUsage]:
        """Return what the pod's own volumes take: emptyDirs and those made of API objects."""
        volumes = {
            volume["name"]: (
                self._volume_folder(pod, volume),
                (volume.get("emptyDir") or {}).get("medium") == "Memory",
            )
            for volume in pod["spec"].get("volumes") or ()
            if "emptyDir" in volume or is_projected(volume)
        }
        return await self._meter.usage(Uid(pod["metadata"]["uid"]), volumes) if volumes else {}

    # --- the end --------------------------------------------------------------------------------------------------

    async def release(self, uid: Uid) -> None:
        """Unmount and remove the pod's volumes."""
        folder = self._root / _safe_name(uid)
        await asyncio.to_thread(_remove, folder, "volumes", "subpaths")
        self._forget(uid)

    async def remove(self, uid: Uid) -> None:
        """Unmount what is left and remove the pod's folder."""
        await asyncio.to_thread(_remove, self._root / _safe_name(uid))
        self._forget(uid)

    def _forget(self, uid: Uid) -> None:
        self._meter.forget(uid)
        self._backings = {key: held for key, held in self._backings.items() if key[0] != uid}
        self._given = {key for key in self._given if key[0] != uid}

    def _volume_folder(self, pod: Body, volume: Body) -> Path:
        return self._folder(Uid(pod["metadata"]["uid"])) / "volumes" / _safe_name(volume["name"])

    def _folder(self, uid: Uid) -> Path:
        return self._root / _safe_name(uid)

    def _made(self, uid: Uid) -> Path:
        """Return the pod's folder, which is there then. Who only looks must not make it: the pod may just have gone."""
        folder = self._folder(uid)
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        return folder


def _read_note(folder: Path) -> Remembered:
    path = folder / _NOTE
    try:
        return Remembered(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        log.warning("a pod's note cannot be read; the pod is taken up without it", path=str(path), cause=str(error))
        return Remembered("", f"orphan-{folder.name}", _UNKNOWN_GRACE_S, {})


def _check_backing(found: Backing) -> None:
    if found.local and not Path(found.path).is_dir():
        raise VolumeUnavailable(f'path "{found.path}" does not exist')
    check_host_path(found.path, found.kind)


def _part(volume: Path, part: str, place: Path, *, agents_own: bool) -> Path:
    """Return where a part of a volume can be mounted from.

    What the agent alone writes needs no care, and shows through the links of that volume for as long as it runs.
    """
    relative = subpaths.locate(volume, part)
    if agents_own:
        return volume / part
    try:
        if not mounting.can_mount(place):
            return subpaths.bind_part(volume, part, place)
        os.close(subpaths.open_part(volume, relative))
    except OSError as error:
        raise StartRefused("CreateContainerConfigError", f"subPath {part!r}: {error.strerror or error}") from None
    return volume.resolve() / relative


def _remove(folder: Path, *parts: str) -> None:
    """Remove a pod's folder, or parts of it. What is mounted there may be anybody's: it is taken off first, or else."""
    for path in [folder / part for part in parts] or [folder]:
        mounting.unmount_below(path)
        remove_tree(path)


def _shared_group(pod: Body) -> int | None:
    group: int | None = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return group


def _owner(pod: Body) -> tuple[int, int] | None:
    """Return whom the pod's files belong to: its user, so that a Secret can stay closed to everyone else."""
    if os.geteuid() != 0:
        return None
    shared = pod["spec"].get("securityContext") or {}
    contexts = [shared, *(one.get("securityContext") or {} for one in pod["spec"]["containers"])]
    user = next((context["runAsUser"] for context in contexts if context.get("runAsUser") is not None), 0)
    group = shared.get("fsGroup", shared.get("runAsGroup", user))
    return user, group


def _safe_name(name: str) -> str:
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(name.encode()) > 255:
        raise VolumeUnavailable(f"{name!r} cannot name a folder")
    return name
