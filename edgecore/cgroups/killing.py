"""Ends everything in a control group, and counts what the kernel has ended there for want of memory.

Nothing in a group escapes: a process cannot leave it, whatever sessions it makes or how often it forks. Used by pods'
supervisors: imports nothing beyond ``os`` and ``time``.
"""

from __future__ import annotations

import os
import time

_SIGKILL = 9
_ROUNDS = 100
_FREEZE_TRIES = 200
_PAUSE_S = 0.005


def kill(group: str) -> bool:
    """Kill every process in ``group`` and below, and wait until there is none; tell whether that came about.

    A group of v1 must not lie in a frozen one: what is frozen does not die before it is thawed.

    Args:
        group: The group's folder: of v2, or of v1's freezer (another v1 hierarchy is done with, without freezing).
    """
    for attempt in range(_ROUNDS):
        if not processes(group):
            return True
        if not put(os.path.join(group, "cgroup.kill"), "1"):
            _freeze_and_kill(group)
        # Killed processes take a moment to leave; more so when there are thousands.
        time.sleep(_PAUSE_S if attempt < _ROUNDS // 2 else _PAUSE_S * 4)
    return not processes(group)


def _freeze_and_kill(group: str) -> None:
    """Kill everything while nothing there can fork."""
    frozen = freeze(group)
    for pid in processes(group):
        try:
            os.kill(pid, _SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    if frozen:
        thaw(group)


def freeze(group: str) -> bool:
    """Stop every process in ``group`` and below; tell whether they stand still."""
    if put(os.path.join(group, "cgroup.freeze"), "1"):
        return _stands(os.path.join(group, "cgroup.events"), "frozen 1")
    state = os.path.join(group, "freezer.state")
    for _ in range(_FREEZE_TRIES):
        # Written again: v1 gives up where a process was just forking.
        if not put(state, "FROZEN"):
            return False
        if is_frozen(group):
            return True
        time.sleep(_PAUSE_S)
    return False


def _stands(path: str, line: str) -> bool:
    for _ in range(_FREEZE_TRIES):
        if line in text(path).splitlines():
            return True
        time.sleep(_PAUSE_S)
    return False


def thaw(group: str) -> bool:
    """Let ``group`` go on; tell whether it does."""
    return put(os.path.join(group, "cgroup.freeze"), "0") or put(os.path.join(group, "freezer.state"), "THAWED")


def is_frozen(group: str) -> bool:
    """Tell whether ``group`` itself was stopped and stands still."""
    state = text(os.path.join(group, "freezer.state"))
    if state:
        return state == "FROZEN" and text(os.path.join(group, "freezer.self_freezing")) != "0"
    return text(os.path.join(group, "cgroup.freeze")) == "1"


def processes(group: str) -> list[int]:
    """Return the processes in ``group`` and below; none where it is gone."""
    found: list[int] = []
    for folder in below(group):
        found += [int(word) for word in text(os.path.join(folder, "cgroup.procs")).split() if word != "0"]
    return found


def below(group: str) -> list[str]:
    """Return ``group`` and all groups below it, each after what contains it; none where it is gone."""
    return [folder for folder, _, _ in os.walk(group)]


def oom_kills(events: str) -> int:
    """Return how many processes the kernel has killed in a group for want of memory.

    Args:
        events: ``memory.events`` of v2, or ``memory.oom_control`` of v1; 0 where it cannot be read.
    """
    for line in text(events).splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill":
            return int(number)
    return 0


def text(path: str) -> str:
    """Return what a small file holds; empty where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return (file.readall() or b"").decode(errors="replace").strip()
    except OSError:
        return ""


def put(path: str, value: str) -> bool:
    """Write a file that exists; tell whether the kernel took it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, value.encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
