"""A small disk of its own, which can be full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted file system in memory.

    Args:
        path: Where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, size_kib: int) -> None:
        """Make it larger (or smaller) while it is in use."""
        _mount("-o", f"remount,size={size_kib}k", str(self.path))

    def fill(self) -> None:
        """Leave no room at all, whatever its size: everything that is free goes into one file."""
        with (self.path / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    def make_room(self) -> None:
        """Take back what :meth:`fill` took."""
        (self.path / "ballast").unlink()


@contextmanager
def small_disk(path: Path, size_kib: int) -> Iterator[SmallDisk]:
    """Mount a disk of ``size_kib`` at ``path``; skip the test where mounting is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("a disk that can be full has to be mounted, which needs root")
    path.mkdir(parents=True, exist_ok=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={size_kib}k,mode=0711", "tmpfs", str(path))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"a disk that can be full has to be mounted, which is not allowed here: {error.stderr!r}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True, capture_output=True)
