"""Files that hold keys: written whole or not at all, readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` (and its parents) with mode 0700, and tighten it if it is there already."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_file(path: Path, data: bytes, *, mode: int = PRIVATE) -> None:
    """Replace ``path`` by ``data`` so that a crash leaves the old content or the new, never a part.

    The file is never, not for a moment, readable more widely than ``mode`` says.

    Raises:
        OSError: The folder does not take the file.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
