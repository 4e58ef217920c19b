"""The tests of control groups, and of a squeeze of memory, once more: on v2 alone, under a real systemd."""

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

SUITES = (
    "tests/edgecore/cgroups",
    "tests/edgecore/pods/runtimes/process/test_limits.py",
    "tests/e2e/test_pressure.py",
)


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
