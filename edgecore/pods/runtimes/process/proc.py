"""Which process is which: identity by boot id, pid and start time, read from ``/proc``.

Used by the supervisor: imports only ``os``.
"""

from __future__ import annotations

import os

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """Return the id of this boot of the host."""
    with open(BOOT_ID, encoding="ascii") as file:
        return file.read().strip()


class Stat:
    """The fields of ``/proc/<pid>/stat`` that identity needs.

    Attributes:
        state: The one-letter state; ``Z`` and ``X`` are ended.
        parent: The parent's pid.
        group: The process group.
        session: The session.
        start_time: Clock ticks from boot to the process' start (field 22).
    """

    __slots__ = ("group", "parent", "session", "start_time", "state")

    def __init__(self, line: str) -> None:
        # The command's name is in parentheses and may itself contain spaces and parentheses.
        fields = line[line.rindex(")") + 2 :].split()
        self.state = fields[0]
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.start_time = int(fields[19])

    @property
    def ended(self) -> bool:
        """Whether the process has exited; a zombie counts."""
        return self.state in "ZX"


def stat(pid: int) -> Stat | None:
    """Return the process' fields, or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return Stat(file.read())
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(pid: int, start_time: int) -> bool:
    """Tell whether the very process that started at ``start_time`` still runs under ``pid``."""
    found = stat(pid)
    return found is not None and found.start_time == start_time and not found.ended


def all_processes() -> list[tuple[int, Stat]]:
    """Return every process that can be seen."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = [(pid, stat(pid)) for pid in pids]
    return [(pid, fields) for pid, fields in found if fields is not None]


def session_members(leader: int, start_time: int) -> list[int]:
    """Return the running processes of the session that ``leader`` began at ``start_time``.

    Never a process of another session that got the same number later: a number is not given out again while a
    session bears it, and every member started no earlier than its leader.
    """
    first = stat(leader)
    if first is not None and first.start_time != start_time:
        return []
    return [
        pid
        for pid, fields in all_processes()
        if fields.session == leader and fields.start_time >= start_time and not fields.ended
    ]
