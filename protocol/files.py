"""Small files that must not be torn or read by others: written whole or not at all, by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` (and its parents) with mode 0700, and tighten it if it is there already."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_file(path: Path, data: bytes, *, mode: int = PRIVATE) -> None:
    """Replace ``path`` by ``data`` so that a crash leaves the old content or the new, never a part.

    The file is never, not for a moment, readable more widely than ``mode`` says. It has one writer at a time: the
    draft beside it has a fixed name, so that crashes leave one behind at most.

    Raises:
        OSError: The folder does not take the file; what was there before still is.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Have the kernel put ``path`` (a file, or a folder's entries) on disk.

    Raises:
        OSError: It could not.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
