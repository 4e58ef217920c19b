"""One process at a time, by a lock on a file that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from protocol.errors import AiokubeedgeError

TRIES: Final = 3
PAUSE_S: Final = 0.01


class LockHeld(AiokubeedgeError):
    """Another process holds the lock.

    Args:
        path: The locked file.
        pid: The holder; None where it has not written down who it is.
    """

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"{path} is held by {'an unknown process' if pid is None else f'process {pid}'}")
        self.path = path
        self.pid = pid


class FileLock:
    """An exclusive lock on a file, which tells others this process's id. Also a context manager.

    Args:
        path: The file; made if it is not there, and left behind.

    Raises:
        LockHeld: Another process (or another lock of this one) holds it.
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _lock(self._descriptor):
                raise LockHeld(path, _pid(self._descriptor))
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, b"%d\n" % os.getpid())
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        # The file stays: removing it would let two processes lock two different files of that name.
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def holder_of(path: Path) -> int | None:
    """Return the pid of the process that holds the lock on ``path``; 0 where it is unknown, None where none does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(descriptor) or 0
    finally:
        os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool:
    # ``holder_of`` holds the lock for an instant, to see whether it can: whoever looks is not taken for a holder.
    for again in reversed(range(TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if again:
                time.sleep(PAUSE_S)
        else:
            return True
    return False


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
