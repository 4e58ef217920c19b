from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from protocol.filelock import FileLock, LockHeld, holder_of

HOLD = """
import sys
from pathlib import Path
from protocol.filelock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock"), pytest.raises(LockHeld, match=f"process {os.getpid()}") as refused:
        FileLock(tmp_path / "lock")
    assert (refused.value.path, refused.value.pid) == (tmp_path / "lock", os.getpid())


def test_a_released_lock_is_free(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    lock.release()
    lock.release()
    with FileLock(tmp_path / "lock"):
        assert holder_of(tmp_path / "lock") == os.getpid()
    assert holder_of(tmp_path / "lock") is None


def test_a_refused_lock_leaves_the_holders_pid_and_lock_alone(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock"):
        for _ in range(2):
            with pytest.raises(LockHeld):
                FileLock(tmp_path / "lock")
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert holder_of(tmp_path / "lock") == other.pid
        other.kill()
    assert holder_of(tmp_path / "lock") is None
    FileLock(tmp_path / "lock").release()


def test_who_only_looks_is_not_taken_for_a_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda seconds: os.close(looking))
    with FileLock(tmp_path / "lock"):
        assert holder_of(tmp_path / "lock") == os.getpid()


def test_a_holder_that_has_not_said_who_it_is(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert holder_of(tmp_path / "lock") == 0
        with pytest.raises(LockHeld, match="unknown process") as refused:
            FileLock(tmp_path / "lock")
        assert refused.value.pid is None
    finally:
        os.close(descriptor)


def test_no_file_no_holder(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "lock") is None
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "nowhere" / "lock")
