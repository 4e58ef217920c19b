"""Volumes and notes on the device's disk.

Below the root, per pod: ``<uid>/note.json`` and ``<uid>/volumes/<name>``. Volumes made of API objects are replaced
in one step, as the kubelet does it: files lie in a folder of their own, ``..data`` is a link to it, and what a
container sees are links through ``..data``; so a reader finds all old or all new files. Disk work runs in threads.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Final

import structlog

from edgecore.pods.environment import expand
from edgecore.pods.events import Remembered
from edgecore.pods.projection import File, is_projected, volume_files
from edgecore.pods.runtimes.base import Mount, StartRefused
from edgecore.pods.sources import ReferenceMissing, Sources
from edgecore.pods.storage import VolumeUnavailable
from edgecore.pods.trees import remove_tree
from protocol.objects.keys import Body, Uid

log = structlog.get_logger(__name__)

_DATA: Final = "..data"
_NOTE: Final = "note.json"
_HOST_PATH_TYPES: Final[Mapping[str, Callable[[int], bool]]] = {
    "Directory": stat.S_ISDIR,
    "DirectoryOrCreate": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "FileOrCreate": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


class DiskStorage:
    """Implements :class:`edgecore.pods.storage.PodStorage` below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    # --- notes ----------------------------------------------------------------------------------------------------

    async def load(self) -> Mapping[Uid, Remembered]:
        """Return every note; a torn one is passed over: it was not written by the time the power went."""
        return await asyncio.to_thread(self._load)

    def _load(self) -> dict[Uid, Remembered]:
        self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
        notes = {}
        for path in sorted(self._root.glob(f"*/{_NOTE}")):
            try:
                notes[Uid(path.parent.name)] = Remembered(**json.loads(path.read_bytes()))
            except (OSError, ValueError, TypeError) as error:
                log.warning(
                    "a pod's note cannot be read; the pod is taken up without it", path=str(path), cause=str(error)
                )
        return notes

    async def remember(self, uid: Uid, note: Remembered) -> None:
        """Replace the pod's note."""
        await asyncio.to_thread(self._remember, uid, note)

    def _remember(self, uid: Uid, note: Remembered) -> None:
        folder = self._folder(uid)
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
        owner = _owner(pod)
        for volume in pod["spec"].get("volumes") or ():
            path = self._folder(Uid(pod["metadata"]["uid"])) / "volumes" / _safe_name(volume["name"])
            try:
                if is_projected(volume):
                    await asyncio.to_thread(project, path, volume_files(volume, pod, sources), owner)
                else:
                    await asyncio.to_thread(_make_plain, path, volume)
            except (ReferenceMissing, VolumeUnavailable) as error:
                raise VolumeUnavailable(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from None

    def mounts(self, pod: Body, container: Body, variables: Mapping[str, str]) -> tuple[Mount, ...]:
        """Return where each of the container's mounts lies on the host."""
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
        return tuple(
            self._mount(Uid(pod["metadata"]["uid"]), volumes, mount, variables)
            for mount in container.get("volumeMounts") or ()
        )

    def _mount(self, uid: Uid, volumes: Mapping[str, Body], mount: Body, variables: Mapping[str, str]) -> Mount:
        volume = volumes.get(mount["name"])
        if volume is None:
            raise StartRefused("CreateContainerConfigError", f"volumeMount names no volume: {mount['name']!r}")
        path = self._folder(uid) / "volumes" / _safe_name(volume["name"])
        source = Path(volume["hostPath"]["path"]) if "hostPath" in volume else path
        part = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
        if any("\0" in place for place in (str(source), part, mount["mountPath"])):
            raise StartRefused("CreateContainerConfigError", f"NUL in a path of volume {volume['name']!r}")
        if part:
            source = _sub_path(source, part)
        return Mount(source=source, path=mount["mountPath"], read_only=bool(mount.get("readOnly")))

    async def release(self, uid: Uid) -> None:
        """Remove the pod's volumes."""
        await asyncio.to_thread(remove_tree, self._root / _safe_name(uid) / "volumes")

    async def remove(self, uid: Uid) -> None:
        """Remove the pod's folder."""
        await asyncio.to_thread(remove_tree, self._root / _safe_name(uid))

    def _folder(self, uid: Uid) -> Path:
        folder = self._root / _safe_name(uid)
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        return folder


def project(path: Path, files: Mapping[str, File], owner: tuple[int, int] | None = None) -> None:
    """Make ``files`` the content of the folder ``path``, in one step.

    Args:
        path: The volume's folder; made where it is missing.
        files: By relative path.
        owner: User and group to give the files to, or None to leave them the agent's.

    Raises:
        OSError: The disk refuses; the old content stands.
    """
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    data = path / _DATA
    if data.is_dir() and _content(data) == dict(files):
        return
    fresh = path / f"..{secrets.token_hex(8)}"
    fresh.mkdir(mode=0o755)
    try:
        for name, file in files.items():
            _write(fresh / name, file, owner)
        old = data.resolve() if data.is_symlink() else None
        _point(data, fresh.name)
    except OSError:
        remove_tree(fresh)
        raise
    _show(path, {PurePosixPath(name).parts[0] for name in files})
    if old is not None and old.parent == path.resolve():
        remove_tree(old)


def _content(folder: Path) -> dict[str, File]:
    files = (path for path in folder.resolve().rglob("*") if path.is_file())
    root = folder.resolve()
    return {str(path.relative_to(root)): File(path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in files}


def _write(path: Path, file: File, owner: tuple[int, int] | None) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Private until its mode is set: a Secret must not be readable for a moment.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(file.content)
        if owner is not None:
            os.fchown(stream.fileno(), *owner)
        os.fchmod(stream.fileno(), file.mode)


def _point(link: Path, target: str) -> None:
    scratch = link.with_name(f"{link.name}_new")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(target)
    scratch.replace(link)


def _show(path: Path, names: set[str]) -> None:
    for name in names:
        if not (path / name).is_symlink():
            (path / name).symlink_to(f"{_DATA}/{name}")
    for present in path.iterdir():
        if not present.name.startswith("..") and present.name not in names:
            present.unlink()


def _make_plain(path: Path, volume: Body) -> None:
    if "emptyDir" in volume:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
    elif "hostPath" in volume:
        _check_host_path(Path(volume["hostPath"]["path"]), volume["hostPath"].get("type") or "")
    else:
        kinds = ", ".join(sorted(set(volume) - {"name"})) or "none"
        raise VolumeUnavailable(f"volume source {kinds} is not supported on this node")


def _check_host_path(path: Path, kind: str) -> None:
    if ".." in path.parts:
        raise VolumeUnavailable(f"hostPath {path} must not contain '..'")
    if kind == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch(mode=0o644, exist_ok=True)
    is_of_kind = _HOST_PATH_TYPES.get(kind)
    if kind and not (is_of_kind and path.exists() and is_of_kind(path.stat().st_mode)):
        raise VolumeUnavailable(f"hostPath type check failed: {path} is not a {kind}")


def _sub_path(source: Path, part: str) -> Path:
    relative = PurePosixPath(part)
    if relative.is_absolute() or ".." in relative.parts:
        raise StartRefused("CreateContainerConfigError", f"subPath {part!r} leaves its volume")
    target = source / relative
    # A link within the volume may lead anywhere; only one that stays within is followed.
    if not target.resolve().is_relative_to(source.resolve()):
        raise StartRefused("CreateContainerConfigError", f"subPath {part!r} leaves its volume")
    if not target.exists():
        target.mkdir(parents=True)
    return target


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
    if not name or "/" in name or name in (".", ".."):
        raise VolumeUnavailable(f"{name!r} cannot name a folder")
    return name
