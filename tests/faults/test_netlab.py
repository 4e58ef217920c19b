"""The fault lab's networks and clocks do what they say, and leave nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.faultruns import isolated
from tests.support.waiting import eventually
from tests.support.wallclocks import WallClock, build

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.faults, pytest.mark.usefixtures("lab")]

KINDS = ("relayed", "wired")
SENT = 50


@pytest.fixture(scope="module")
def found() -> Any:
    ran = subprocess.run(isolated("tests.support.netcheck"), capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weather", ["fine", "fine again"])
def test_a_fine_link_carries_everything(found: Any, kind: str, weather: str) -> None:
    link = found[kind][weather]
    assert (link["received"], link["doubled"], link["overtaken"], link["tcp"]) == (SENT, 0, 0, "open")


@pytest.mark.parametrize("kind", KINDS)
def test_a_lossy_link_loses_a_share_each_way(found: Any, kind: str) -> None:
    assert 15 <= found[kind]["lossy"]["received"] <= 45  # 0.8 · 0.8 of them on average


def test_a_far_link_takes_its_time_each_way(found: Any) -> None:
    link = found["relayed"]["far"]
    assert link["received"] == SENT
    assert link["first_s"] >= 0.3


def test_a_disorderly_link_doubles_and_reorders(found: Any) -> None:
    link = found["relayed"]["disorderly"]
    assert link["received"] == SENT
    assert link["doubled"] > 0
    assert link["overtaken"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_thin_link_holds_packets_up(found: Any, kind: str) -> None:
    assert found[kind]["thin"]["last_s"] > found[kind]["fine"]["last_s"] + 0.05


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weather", ["nothing comes down", "nothing goes up"])
def test_a_half_open_link_is_silent(found: Any, kind: str, weather: str) -> None:
    assert found[kind][weather]["received"] == 0
    assert found[kind][weather]["tcp"] == "silent"


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_resets_says_so(found: Any, kind: str) -> None:
    assert found[kind]["reset"]["received"] == 0
    assert found[kind]["reset"]["tcp"] == "ConnectionRefusedError"


def test_a_run_that_is_killed_leaves_nothing_behind() -> None:
    before = _surroundings()
    with subprocess.Popen(isolated("tests.support.netcheck", "--hang"), stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"open\n"
        family = psutil.Process(run.pid).children(recursive=True)
        assert any("tests.support.tunrelay" in process.cmdline() for process in family)
        run.send_signal(signal.SIGKILL)
    eventually(lambda: not any(_lives(process) for process in family), what="every process has ended")
    assert _surroundings() == before


_OF_DOCKER = re.compile("docker[0-9]+|br-[0-9a-f]{12}|veth[0-9a-f]{7}")


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _surroundings() -> tuple[list[str], str]:
    """Return the links and namespaces of the host, without a Docker Engine's: other tests run one at the same time."""
    links = subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout
    names = [link["ifname"] for link in json.loads(links) if not _OF_DOCKER.fullmatch(link["ifname"])]
    namespaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    return names, namespaces


def test_a_wall_clock_steps_and_the_monotonic_one_does_not(tmp_path: Path) -> None:
    clock = WallClock(build(tmp_path), tmp_path / "offset")
    script = (
        "import datetime, sys, time\n"
        "for _ in sys.stdin:\n"
        "    time.sleep(0.001)\n"
        "    now = datetime.datetime.now(datetime.timezone.utc).timestamp()\n"
        "    print(time.time(), now, time.monotonic(), flush=True)\n"
    )
    environment = {**os.environ, **clock.env}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True, env=environment) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for off_s in (0.0, -86400.0, 3600.5, 0.0):
            clock.set_off(off_s)
            child.stdin.write("\n")
            child.stdin.flush()
            *walls, monotonic = map(float, child.stdout.readline().split())
            for wall in walls:
                assert wall - time.time() == pytest.approx(off_s, abs=5.0)
            assert monotonic - time.monotonic() == pytest.approx(0.0, abs=5.0)
        child.stdin.close()
