"""Termination messages: a file in the container's own folder, made before it starts and read when it has ended.

The folder is the container's to change, and the reader may be root: so no link is ever followed, on the way down or at
the end, and nothing but a plain file is read. Used by the supervisor: imports only ``os`` and ``stat``.
"""

from __future__ import annotations

import os
import stat

MESSAGE_BYTES = 4096
LOG_BYTES = 2048
LOG_LINES = 80
_TAIL_BYTES = 16 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make(home: str, path: str, user: int, group: int) -> None:
    """Make an empty file at ``path`` within ``home`` that the container may write, in place of what is there.

    Args:
        home: The container's folder.
        path: ``terminationMessagePath``; absolute or not, it is taken as relative to ``home``.
        user: Whose it is; -1 leaves that as it comes.
        group: Likewise.

    Raises:
        OSError: There is no room, or something is in the way: a link, or a folder that is not empty.
    """
    folder = os.open(home, _FOLDER)
    try:
        *above, name = parts_of(path)
        for part in above:
            folder = _step(folder, part, user, group)
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            pass
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o666, dir_fd=folder)
        try:
            os.fchmod(descriptor, 0o666)
            os.fchown(descriptor, user, group)
        finally:
            os.close(descriptor)
    finally:
        os.close(folder)


def _step(folder: int, part: str, user: int, group: int) -> int:
    """Go one folder down, making it where it is missing; close the one above."""
    try:
        os.mkdir(part, 0o755, dir_fd=folder)
        made = True
    except FileExistsError:
        made = False
    below = os.open(part, _FOLDER, dir_fd=folder)
    if made:
        os.fchown(below, user, group)
    os.close(folder)
    return below


def parts_of(path: str) -> list[str]:
    """Return the names on the way to ``path``, below the container's folder.

    Raises:
        ValueError: It leads out of it, or to itself.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise ValueError(f"terminationMessagePath {path!r} does not stay in the container's folder")
    return parts


def read(home: str, path: str) -> bytes:
    """Return what the container left there, at most :data:`MESSAGE_BYTES` of it; empty where that cannot be read."""
    try:
        return _read(home, path)
    except (OSError, ValueError):
        return b""


def _read(home: str, path: str) -> bytes:
    *above, name = parts_of(path)
    folder = os.open(home, _FOLDER)
    try:
        for part in above:
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        # Not blocking: what was a file may now be a pipe that nobody writes.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        status = os.fstat(descriptor)
        # A second name means that it may be somebody else's file.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return b""
        return os.read(descriptor, MESSAGE_BYTES)
    finally:
        os.close(descriptor)


def from_log(path: str) -> bytes:
    """Return the end of a log in the CRI format, at most :data:`LOG_BYTES` and :data:`LOG_LINES` of it."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
            data = file.read(_TAIL_BYTES)
    except OSError:
        return b""
    text = b""
    for line in data.split(b"\n")[:-1][-LOG_LINES:]:
        fields = line.split(b" ", 3)
        if len(fields) == 4:
            text += fields[3] + (b"\n" if fields[2] == b"F" else b"")
    return text[-LOG_BYTES:]


def message(home: str, path: str, log: str) -> str:
    """Return the termination message.

    Args:
        home: The container's folder.
        path: Where in it the container may have left one.
        log: The log to take one from where it left none; empty where that is not wanted.
    """
    said = read(home, path) if home and path else b""
    if not said and log:
        said = from_log(log)
    # NUL has a meaning in records, and none in a message.
    return os.fsdecode(said.replace(b"\0", b" "))
