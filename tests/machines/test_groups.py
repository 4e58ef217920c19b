"""The tests of control groups once more: on v2 alone, under a real systemd, and in what it has given away."""

from __future__ import annotations

import pytest

from tests.machines.devices import Device
from tests.machines.machine import PATIENCE_S, PYTHON

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(2 * PATIENCE_S),
    pytest.mark.asyncio(loop_scope="module"),
]

SUITES = ("tests/edgecore/cgroups", "tests/edgecore/pods/runtimes/process/test_limits.py")


async def test_the_machine_has_v2_alone_and_a_real_systemd(node: Device) -> None:
    mounts = await node.machine.shell("grep cgroup /proc/self/mountinfo")
    assert len(mounts.splitlines()) == 1
    assert " - cgroup2 " in mounts
    assert {"cpu", "memory", "pids"} <= {*(await node.machine.shell("cat /sys/fs/cgroup/cgroup.controllers")).split()}
    assert (await node.machine.shell("cat /proc/1/comm")).strip() == "systemd"


@pytest.mark.parametrize("suite", SUITES)
async def test_a_suite_passes_there(node: Device, suite: str) -> None:
    flags = "-q -p no:cacheprovider --basetemp=/tmp/pytest -c /project/pyproject.toml --rootdir=/project"
    script = f"cd /tmp && PYTHONDONTWRITEBYTECODE=1 {PYTHON} -m pytest {flags} /project/{suite} 2>&1"
    done = await node.machine.run("sh", "-c", script, within_s=PATIENCE_S)
    assert done.code == 0, done.out[-12000:]
    assert " passed" in done.out


DELEGATED = """
import asyncio, pathlib, subprocess, sys, tempfile
from edgecore.cgroups.controls import GroupSettings, open_groups
from edgecore.cgroups.layout import Bounds

async def main():
    groups = open_groups(GroupSettings("test", pathlib.Path(tempfile.mkdtemp()), cpus=1, memory_bytes=256 << 20))
    print(sorted(groups.controllers), groups.problem)
    print(pathlib.Path("/proc/self/cgroup").read_text().strip())
    path = await groups.make_pod("one", "Burstable", Bounds(memory_limit_bytes=32 << 20, cpu_limit_m=100))
    entry = await groups.make_container("one", "main", Bounds(pids_limit=9))
    script = 'echo 0 > "$0" && exec sleep 1000'
    child = subprocess.Popen(["sh", "-c", script, *entry.joins])
    while not pathlib.Path(entry.group, "cgroup.procs").read_text():
        await asyncio.sleep(0.05)
    print(path, (pathlib.Path("/sys/fs/cgroup") / path.strip("/") / "memory.max").read_text().strip())
    print(await groups.pause("one"), await groups.resume("one"))
    await groups.remove_pod("one")
    print(child.wait())
    groups.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("who", ["nobody", "root"])
async def test_an_agent_uses_what_systemd_has_given_it(node: Device, who: str) -> None:
    # Not root: the agent moves itself into a leaf. Root: it is in one already, as DelegateSubgroup= has it.
    # (0 is whoever writes it; systemd-run would take "$$" for a "$".)
    moves = "" if who == "nobody" else 'mkdir "$own/agent" && echo 0 > "$own/agent/cgroup.procs" &&'
    script = f'own=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); {moves} exec {PYTHON} -c "$0"'
    flags = [
        "--pipe",
        "--wait",
        "--collect",
        "--quiet",
        f"--unit=given-{who}",
        f"--uid={who}",
        "--property=Delegate=yes",
    ]
    said = await node.machine.get("systemd-run", *flags, "sh", "-c", script, DELEGATED)
    given = f"/system.slice/given-{who}.service"
    assert [line for line in said.splitlines() if not line.startswith("20")] == [
        "['cpu', 'memory', 'pids'] ",
        f"0::{given}/agent",
        f"{given}/pods/burstable/podone {32 << 20}",
        "True True",
        "-9",
    ]
