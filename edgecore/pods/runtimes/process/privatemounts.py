"""A container's own view of one folder of the host: where in-cluster clients look for the service account's token.

Runs in the forked child, before it becomes the container, and only for pods that have such a volume: ``ctypes`` costs
some milliseconds and no memory that outlives ``execve``.
"""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 1, 2, 4, 32, 4096, 1 << 14, 1 << 19


def show_account(source: str) -> None:
    """Show the folder ``source`` where clients look for the account, to this process and its children alone.

    What else the host has in ``/run/secrets`` they no longer see. Mounts that the host makes later reach them, theirs
    never reach the host.

    Raises:
        OSError: The process may not, or the kernel cannot.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    secrets = os.path.join(os.path.realpath("/var/run"), "secrets")
    os.makedirs(secrets, exist_ok=True)
    _check(libc.unshare(_CLONE_NEWNS))
    _mount(libc, "none", "/", "", _MS_REC | _MS_SLAVE)
    _mount(libc, "tmpfs", secrets, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=64k,mode=755")
    target = os.path.join(secrets, "kubernetes.io", "serviceaccount")
    os.makedirs(target)
    _mount(libc, source, target, "", _MS_BIND)
    _mount(libc, "none", target, "", _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def _mount(libc: ctypes.CDLL, source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    _check(libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None))


def _check(status: int) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
