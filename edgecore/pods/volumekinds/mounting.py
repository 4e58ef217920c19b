"""Mounts of the host: tmpfs for volumes in memory, binds for parts of volumes. Linux only; needs CAP_SYS_ADMIN.

Paths are those of the agent's mount namespace. The agent makes no mounts anywhere but below its own folder, and
before it removes a folder it takes off what is mounted below: what a bind shows is somebody else's data.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_MOUNT_TABLE: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_IN_A_CONTAINER: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))
_BIND: Final = 0x1000
_NOSUID_NODEV: Final = 0x2 | 0x4
_DETACH_NOFOLLOW: Final = 0x2 | 0x8


def mount_tmpfs(target: Path, options: str) -> None:
    """Mount a tmpfs on ``target``.

    Raises:
        OSError: It may not, or the options are wrong.
    """
    _mount("tmpfs", target, "tmpfs", _NOSUID_NODEV, options)


def bind(descriptor: int, target: Path) -> None:
    """Show at ``target`` what ``descriptor`` is open on, whatever has become of its path.

    Raises:
        OSError: It may not, or one is a file and the other a folder.
    """
    _mount(f"/proc/self/fd/{descriptor}", target, "", _BIND, "")


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    import ctypes  # noqa: PLC0415 - 1 MB that agents without such volumes need not spend

    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (source.encode(), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), options.encode())
    if libc.mount(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def mounts_below(folder: Path, table: Iterable[str] | None = None) -> list[Path]:
    """Return what is mounted on or below ``folder``, in the order it was.

    Args:
        folder: Absolute, without links.
        table: Lines of ``/proc/self/mountinfo``; read where it is None.
    """
    if table is None:
        table = _MOUNT_TABLE.read_text("utf-8", "surrogateescape").splitlines() if _MOUNT_TABLE.exists() else ()
    points = (Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), line.split(" ", 5)[4])) for line in table)
    return [point for point in points if point.is_relative_to(folder)]


def unmount_below(folder: Path) -> None:
    """Take off everything that is mounted on or below ``folder``.

    Raises:
        OSError: Something remains; nothing below ``folder`` may be removed then.
    """
    folder = folder.resolve()
    points = mounts_below(folder)
    if not points:
        return
    import ctypes  # noqa: PLC0415 - see above

    libc = ctypes.CDLL(None, use_errno=True)
    for point in reversed(points):
        libc.umount2(os.fsencode(point), _DETACH_NOFOLLOW)
    left = mounts_below(folder)
    if left:
        raise OSError(errno.EBUSY, f"still mounted: {left[0]}")


def can_mount(folder: Path) -> str:
    """Return why mounts below ``folder`` would be of no use, or an empty string.

    An agent in a container needs its folder mounted with shared propagation: what it mounts there is otherwise seen
    by nobody else, the container engine of the host for one.
    """
    if os.geteuid() != 0:
        return f"the agent runs as user {os.geteuid()} and may not mount"
    if not any(mark.exists() for mark in _IN_A_CONTAINER):
        return ""
    return _hidden(folder, _MOUNT_TABLE.read_text("utf-8", "surrogateescape").splitlines())


def _hidden(folder: Path, table: Iterable[str]) -> str:
    holding = Path("/")
    shared = True
    for line in table:
        fields = line.split(" ")
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        if folder.is_relative_to(point) and len(point.parts) >= len(holding.parts):
            holding, shared = point, any(field.startswith("shared:") for field in fields[6 : fields.index("-")])
    if holding == Path("/") or shared:
        return ""
    return f"the agent runs in a container, and {holding} is not mounted there with shared propagation (rshared)"
