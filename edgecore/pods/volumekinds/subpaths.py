"""subPath: a part of a volume as a mount of its own, whatever links are put in its way.

What a volume holds is its containers' to change at any moment. So the part is found by walking down folder by folder
without following links, and what was found, not its path, is bound to a place of the agent's own: a container engine
that is given that place cannot be led elsewhere. Without the right to mount, the path itself is all there is to give;
it is checked, but a container that swaps links at the right moment is not stopped.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Final

from edgecore.pods.runtimes.base import StartRefused
from edgecore.pods.volumekinds import mounting

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ANYTHING: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def locate(volume: Path, part: str) -> PurePosixPath:
    """Return where ``part`` of ``volume`` is once links are followed, relative to the volume.

    Raises:
        StartRefused: It leaves the volume.
    """
    relative = PurePosixPath(part)
    if relative.is_absolute() or ".." in relative.parts:
        raise StartRefused("CreateContainerConfigError", f"subPath {part!r} leaves its volume")
    root = volume.resolve()
    try:
        target = (volume / relative).resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise StartRefused("CreateContainerConfigError", f"subPath {part!r}: {error}") from None
    if not target.is_relative_to(root):
        raise StartRefused("CreateContainerConfigError", f"subPath {part!r} leaves its volume")
    return PurePosixPath(target.relative_to(root))


def open_part(volume: Path, relative: PurePosixPath) -> int:
    """Open what is at ``relative``; folders that are missing are made, with the volume's mode.

    Raises:
        StartRefused: There is a link in the way.
        OSError: The disk refuses.
    """
    current = os.open(volume.resolve(), _FOLDER)
    try:
        mode = stat.S_IMODE(os.fstat(current).st_mode) & 0o777
        for number, name in enumerate(relative.parts, 1):
            following = _step(current, name, mode, last=number == len(relative.parts))
            os.close(current)
            current = following
    except OSError as error:
        os.close(current)
        message = f"subPath {str(relative)!r} cannot be opened: {error.strerror}"
        raise StartRefused("CreateContainerConfigError", message) from None
    return current


def _step(folder: int, name: str, mode: int, *, last: bool) -> int:
    flags = _ANYTHING if last else _FOLDER
    try:
        found = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        os.mkdir(name, mode, dir_fd=folder)
        found = os.open(name, _FOLDER, dir_fd=folder)
        # The umask has taken its part of the mode; it is the volume's that counts.
        os.chmod(f"/proc/self/fd/{found}", mode | (stat.S_ISGID & os.fstat(found).st_mode))
        return found
    if stat.S_ISLNK(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(None, f"{name} has become a link")
    return found


def bind_part(volume: Path, part: str, place: Path) -> Path:
    """Show ``part`` of ``volume`` at ``place`` and return that.

    Args:
        volume: The volume.
        part: ``subPath``.
        place: Where; nobody but the agent may write there. What another part left there is taken off.

    Raises:
        StartRefused: The part leaves the volume.
        OSError: The disk refuses, or the mount.
    """
    descriptor = open_part(volume, locate(volume, part))
    try:
        wanted = os.fstat(descriptor)
        if place.exists() and os.path.samestat(place.stat(), wanted) and mounting.mounts_below(place):
            return place
        mounting.unmount_below(place)
        _make_place(place, is_folder=stat.S_ISDIR(wanted.st_mode))
        mounting.bind(descriptor, place)
    finally:
        os.close(descriptor)
    return place


def _make_place(place: Path, *, is_folder: bool) -> None:
    place.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    if place.exists() and place.is_dir() != is_folder:
        place.rmdir() if place.is_dir() else place.unlink()
    if is_folder:
        place.mkdir(mode=0o700, exist_ok=True)
    else:
        place.touch(mode=0o600)
