"""Removing and walking folders that a pod has written to, whatever it made of them.

``shutil.rmtree`` recurses, and gives up where a folder may not be read: a pod that nests a thousand folders, or takes
the rights off one, could never be removed. Here each folder's folders are moved up beside it before it goes, so
neither depth nor the length of a path matters, two descriptors are enough, and no link is followed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Entry(NamedTuple):
    """What a walk comes upon.

    Attributes:
        folder: A descriptor of the folder that it is in; good until the walk goes on.
        name: Its name there.
        stat: About itself, also where it is a link.
    """

    folder: int
    name: str
    stat: os.stat_result


def walk(path: Path) -> Iterator[Entry]:
    """Yield everything below the folder ``path``, which others may be changing.

    No link is followed and no other file system entered; one descriptor is enough, however deep it goes. What has
    gone when its turn comes is passed over.

    Raises:
        OSError: The disk refuses, or the folder that is walked was moved.
    """
    current = os.open(path, _OPEN)
    try:
        top = os.fstat(current)
        above: list[tuple[os.stat_result, list[str]]] = []
        here, folders = top, (yield from _entries(current))
        while True:
            if folders:
                inner = _descend(current, folders.pop(), top.st_dev)
                if inner is not None:
                    above.append((here, folders))
                    os.close(current)
                    current, here = inner, os.fstat(inner)
                    folders = yield from _entries(current)
            elif above:
                here, folders = above.pop()
                current = _ascend(current, here)
            else:
                return
    finally:
        os.close(current)


def _entries(folder: int) -> Generator[Entry, None, list[str]]:
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                found = Entry(folder, entry.name, entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            yield found
    return folders


def _descend(folder: int, name: str, device: int) -> int | None:
    try:
        inner = os.open(name, _OPEN, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return None
    if os.fstat(inner).st_dev == device:
        return inner
    os.close(inner)
    return None


def _ascend(folder: int, above: os.stat_result) -> int:
    outer = os.open("..", _OPEN, dir_fd=folder)
    if not os.path.samestat(os.fstat(outer), above):
        os.close(outer)
        raise OSError(errno.ESTALE, "a folder was moved while it was walked")
    os.close(folder)
    return outer


def remove_tree(path: Path) -> None:
    """Remove ``path`` and everything below it; nothing where it is no folder or a link to one.

    Nobody else may write below it any more.

    Raises:
        OSError: The disk refuses; what could not be removed is still there, perhaps moved up within ``path``.
    """
    if path.is_symlink() or not path.is_dir():
        return
    top = os.open(path, _OPEN)
    try:
        _empty(top)
    finally:
        os.close(top)
    path.rmdir()


def _empty(top: int) -> None:
    serial = 0
    while folders := _remove_files(top):
        for name in folders:
            _allow(name, top)
            folder = os.open(name, _OPEN, dir_fd=top)
            try:
                for inner in _remove_files(folder):
                    _allow(inner, folder)
                    serial = _free_name(top, serial)
                    os.rename(inner, f"..{serial}", src_dir_fd=folder, dst_dir_fd=top)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)


def _remove_files(folder: int) -> list[str]:
    """Remove all that is no folder; return the folders' names."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return folders


def _allow(name: str, folder: int) -> None:
    """Take the rights to a folder that its owner, who is us or somebody that root may overrule, took off."""
    if os.geteuid() != 0:
        os.chmod(name, 0o700, dir_fd=folder)


def _free_name(top: int, serial: int) -> int:
    while True:
        serial += 1
        try:
            os.stat(f"..{serial}", dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            return serial
