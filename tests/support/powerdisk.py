"""A disk that can lose power: a real ext4 on a loop device, shut down by the kernel without writing anything out.

What was written and not synced by then is lost, names included, as far as ext4 loses it: its journal is replayed when
the disk is mounted again. ``noauto_da_alloc`` keeps ext4 from syncing a file because it is renamed over another.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

_SHUTDOWN: Final = 0x8004587D
"""EXT4_IOC_SHUTDOWN (``FS_IOC_SHUTDOWN`` of linux/fs.h)."""
_NO_LOG_FLUSH: Final = 2
_OPTIONS: Final = "loop,noauto_da_alloc,commit=60"


class PowerDisk:
    """A mounted disk.

    Args:
        path: Where it is mounted.
        image: The file that is its medium.
    """

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self._image = image

    def cut_power(self) -> None:
        """From now on nothing reaches the medium, and every write fails."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def abort(self) -> None:
        """Have the file system turn read-only, as ext4 does when its medium fails."""
        _run("mount", "-o", "remount,abort", str(self.path))

    def restore(self) -> None:
        """Mount what is on the medium; whoever used the disk must have ended.

        From a copy: somebody's mount namespace, that of a process just killed say, may hold the old mount for a while,
        and the kernel would then mount that again, which takes no writes any more.
        """
        _run("umount", "--recursive", "--lazy", str(self.path))
        before, self._image = self._image, self._image.with_name(f"{self._image.name}.next")
        _run("cp", "--sparse=always", str(before), str(self._image))
        before.unlink()
        self._image = self._image.rename(before)
        self.mount()

    def mount(self) -> None:
        """Mount it; the journal is replayed.

        Raises:
            subprocess.CalledProcessError: It cannot be.
        """
        _run("mount", "-o", _OPTIONS, str(self._image), str(self.path))


@contextmanager
def power_disk(path: Path, image: Path, size_mib: int = 128) -> Iterator[PowerDisk]:
    """Make a disk and mount it at ``path``; skip the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("a disk that can lose power has to be mounted, which needs root")
    path.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(size_mib << 20)
    disk = PowerDisk(path, image)
    try:
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        disk.mount()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a disk that can lose power has to be mounted, which is not possible here: {error}")
    path.chmod(0o711)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", str(path)], check=False, capture_output=True)
        image.unlink(missing_ok=True)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
