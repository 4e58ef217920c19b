"""fsGroup: a volume belongs to the pod's group, so that containers of any user can share it.

Rules: Kubernetes' ``PodSecurityContext.fsGroup`` and ``fsGroupChangePolicy``: everything gets the group; files may be
read and written by it, folders entered too, and what is made in them later belongs to it as well.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from edgecore.pods.trees import walk

_FILE_MODE: Final = 0o660
_FOLDER_MODE: Final = 0o770 | stat.S_ISGID
_READ_ONLY: Final = 0o440


def give_to_group(path: Path, group: int, *, only_if_root_differs: bool, read_only: bool = False) -> None:
    """Give a volume to ``group``.

    Args:
        path: The volume.
        group: ``fsGroup``.
        only_if_root_differs: ``OnRootMismatch``: leave a volume alone whose topmost folder is as it should be.
        read_only: The pod may not write to it.

    Raises:
        OSError: The disk refuses.
    """
    if os.geteuid() != 0:
        return  # the kernel gives groups away for root only; the pod's processes are the agent's user's own
    top = path.stat()
    if only_if_root_differs and top.st_gid == group and stat.S_IMODE(top.st_mode) & _FOLDER_MODE == _FOLDER_MODE:
        return
    for entry in walk(path):
        _give(entry.folder, entry.name, entry.stat, group, read_only=read_only)
    # Last, so that a volume whose change was cut short is not taken for a changed one.
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _set(descriptor, top, group, read_only=read_only)
    finally:
        os.close(descriptor)


def _give(folder: int, name: str, known: os.stat_result, group: int, *, read_only: bool) -> None:
    try:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return
    try:
        found = os.fstat(descriptor)
        if os.path.samestat(found, known):
            _set(descriptor, found, group, read_only=read_only)
    finally:
        os.close(descriptor)


def _set(descriptor: int, found: os.stat_result, group: int, *, read_only: bool) -> None:
    if stat.S_ISLNK(found.st_mode):
        return  # who owns a link decides nothing
    place = f"/proc/self/fd/{descriptor}"
    added = _READ_ONLY if read_only else _FILE_MODE
    if stat.S_ISDIR(found.st_mode):
        added = (_READ_ONLY | 0o110 if read_only else _FOLDER_MODE) | stat.S_ISGID
    os.chown(place, -1, group)
    os.chmod(place, stat.S_IMODE(found.st_mode) | added)
