"""One cloudcore per data file, kept by a lock on a file beside it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from protocol.errors import UsageError


class FileLock:
    """An exclusive lock that ends with the process, however it ends.

    Args:
        path: The data file; the lock is on ``<path>.lock``.

    Raises:
        UsageError: Another process holds it, or it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        lock_path = Path(f"{path}.lock")
        try:
            self._fd = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise UsageError(f"cannot open {lock_path}: {exc.strerror}") from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._fd)
            raise UsageError(
                f"{path} is in use by another cloudcore; stop it first, or use another --data-dir"
            ) from exc

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        # The file stays: removing it would let two processes lock two different files of that name.
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
