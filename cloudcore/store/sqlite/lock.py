"""One cloudcore per data file, kept by a lock on a file beside it."""

from __future__ import annotations

from pathlib import Path

from protocol.errors import UsageError
from protocol.filelock import FileLock, LockHeld


def lock_database(path: Path) -> FileLock:
    """Lock the data file ``path``, by way of ``<path>.lock``.

    Raises:
        UsageError: Another process holds it, or the lock's file cannot be opened.
    """
    lock_path = Path(f"{path}.lock")
    try:
        return FileLock(lock_path)
    except LockHeld as held:
        holder = f" (pid {held.pid})" if held.pid is not None else ""
        raise UsageError(
            f"{path} is in use by another cloudcore{holder}; stop it first, or use another --data-dir"
        ) from held
    except OSError as exc:
        raise UsageError(f"cannot open {lock_path}: {exc.strerror}") from exc
