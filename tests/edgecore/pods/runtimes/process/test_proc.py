from __future__ import annotations

import os
import subprocess

import pytest

from edgecore.pods.runtimes.process import proc

LINE = "42 (a) b (c) S 7 42 41 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 98765 1000 10 18446744073709551615 0 0"


def test_a_name_with_spaces_and_parentheses_does_not_confuse() -> None:
    stat = proc.Stat(LINE)
    assert (stat.state, stat.parent, stat.group, stat.session, stat.start_time) == ("S", 7, 42, 41, 98765)
    assert not stat.ended


def test_this_process_is_alive_and_no_other_that_had_its_pid() -> None:
    own = proc.stat(os.getpid())
    assert own is not None
    assert proc.is_alive(os.getpid(), own.start_time)
    assert not proc.is_alive(os.getpid(), own.start_time + 1)


@pytest.mark.e2e
def test_a_zombie_has_ended() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = proc.stat(child.pid)
    assert found is not None
    assert found.state == "Z"
    assert not proc.is_alive(child.pid, found.start_time)
    child.wait()
    assert proc.stat(child.pid) is None


@pytest.mark.e2e
def test_members_of_a_session_are_those_of_the_very_leader() -> None:
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        found = proc.stat(child.pid)
        assert found is not None
        assert proc.session_members(child.pid, found.start_time) == [child.pid]
        assert proc.session_members(child.pid, found.start_time - 1) == []
    finally:
        child.kill()
        child.wait()
