"""Limits really hold: the process runtime in real control groups."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgecore.pods.runtimes.base import ContainerId, ContainerSpec, ExecTimedOut
from edgecore.pods.runtimes.process.runtime import ProcessRuntime
from edgecore.pods.runtimes.specs import Resources, SandboxSpec
from protocol.objects.keys import Uid
from protocol.objects.qos import QosClass
from tests.contracts.runtime import Ears
from tests.support.controlgroups import GroupBench, missing
from tests.support.waiting import aeventually

WHY_NOT = missing()
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "there are control groups")]
MIB = 1 << 20
HOG = "import time; held = bytearray(200 << 20); time.sleep(1000)"
BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


class Device:
    """A process runtime with control groups."""

    def __init__(self, folder: Path) -> None:
        self.bench = GroupBench(folder)
        self.folder = folder
        self.ears = Ears()
        self.runtime = ProcessRuntime(folder / "runtime", groups=self.bench.groups)

    async def next_agent(self) -> None:
        """Have the agent killed, and another one come."""
        for pod in self.runtime._pods.values():
            self.runtime._detach(pod)
        self.runtime = ProcessRuntime(self.folder / "runtime", groups=self.bench.again())
        await self.runtime.open(self.ears)

    async def start(
        self,
        uid: str,
        *argv: str,
        quality: QosClass = "Burstable",
        resources: Resources | None = None,
        attempt: int = 0,
    ) -> ContainerId:
        which = ContainerId(Uid(uid), "main", attempt)
        together = replace(resources or Resources(), pids_limit=None)
        shared = SandboxSpec(which.pod, "default", uid, quality=quality, resources=together)
        spec = ContainerSpec(which, "default", uid, "img", argv, resources=resources or Resources(), sandbox=shared)
        await self.runtime.start(spec)
        return which

    def processes(self, uid: str) -> list[int]:
        tree = self.bench.groups._tree
        assert tree is not None
        return [pid for folder in tree._paths(Uid(uid)) for pid in tree._driver.processes(folder)]


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[Device]:
    device = Device(tmp_path)
    await device.runtime.open(device.ears)
    yield device
    for uid in list(device.runtime._pods):
        await device.runtime.remove_pod(uid)
    await device.runtime.close()
    await device.bench.clean()


async def test_a_memory_hog_is_killed_and_said_to_be_while_others_live(device: Device) -> None:
    await device.start("calm", "sleep", "1000", quality="Guaranteed")
    limited = Resources(memory_limit_bytes=64 * MIB, oom_score_adj=1000)
    hog = await device.start("hog", "/usr/bin/env", "python3", "-c", HOG, resources=limited)
    ended = await device.ears.next()
    assert ended.id == hog
    assert ended.exit is not None
    assert (ended.exit.exit_code, ended.exit.reason) == (137, "OOMKilled")
    assert len(device.processes("calm")) == 1


async def test_a_hog_below_a_shell_is_told_of_too_and_the_next_instance_starts_with_a_clean_slate(
    device: Device,
) -> None:
    limited = Resources(memory_limit_bytes=64 * MIB)
    await device.start("hog", "sh", "-c", 'python3 -c "$0"; exit $?', HOG, resources=limited)
    first = await device.ears.next()
    assert first.exit is not None
    assert (first.exit.exit_code, first.exit.reason) == (137, "OOMKilled")
    await device.start("hog", "sh", "-c", "exit 137", resources=limited, attempt=1)
    second = await device.ears.next()
    assert second.exit is not None
    assert (second.exit.exit_code, second.exit.reason) == (137, "Error")


async def test_a_fork_bomb_is_contained_while_another_pod_lives(device: Device) -> None:
    await device.start("calm", "sleep", "1000", quality="Guaranteed")
    held = Resources(pids_limit=40, cpu_limit_m=500)
    await device.start("bomb", "python3", "-c", BOMB, quality="BestEffort", resources=held)
    await aeventually(lambda: len(device.processes("bomb")) >= 35, what="the bomb did not go off")
    assert len(device.processes("bomb")) <= 40
    answer = await device.runtime.exec(ContainerId(Uid("calm"), "main", 0), ["echo", "alive"], 20)
    assert answer.output == b"alive\n"
    await device.runtime.remove_pod(Uid("bomb"))
    assert device.processes("bomb") == []
    assert await device.bench.groups.pods() == {Uid("calm")}


async def test_what_forks_away_twice_ends_with_its_container(device: Device) -> None:
    away = "setsid sh -c 'setsid sleep 1000 &' & sleep 0.3; exit 3"
    await device.start("daemon", "sh", "-c", away)
    # Another container of the pod goes on, so that strays are not ended with the pod's last one.
    other = ContainerId(Uid("daemon"), "other", 0)
    await device.runtime.start(
        ContainerSpec(other, "default", "daemon", "img", ("sleep", "1000"), sandbox=SandboxSpec(other.pod, "d", "n"))
    )
    ended = await device.ears.next()
    assert ended.exit is not None
    assert ended.exit.exit_code == 3
    assert len(device.processes("daemon")) == 1


async def test_a_container_has_its_score_and_its_group_and_so_has_what_is_run_in_it(device: Device) -> None:
    which = await device.start("web", "sleep", "1000", resources=Resources(oom_score_adj=500))
    (pid,) = device.processes("web")
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "500\n"
    answer = await device.runtime.exec(which, ["cat", "/proc/self/cgroup", "/proc/self/oom_score_adj"], 20)
    lines = answer.output.decode().splitlines()
    assert lines[-1] == "500"
    ours = [line for line in lines if "memory" in line or line.startswith("0::")]  # of v1, or of v2
    assert any(line.endswith("/burstable/podweb/main") for line in ours)


async def test_groups_and_pauses_outlast_the_agent(device: Device) -> None:
    which = await device.start("web", "sleep", "1000")
    assert await device.bench.groups.pause(which.pod)
    with pytest.raises(ExecTimedOut, match="paused"):
        await device.runtime.exec(which, ["true"], 20)
    before = device.processes("web")
    await device.next_agent()
    assert device.processes("web") == before
    assert await device.bench.groups.paused() == {which.pod}
    await device.runtime.signal(which, 15)  # which lets it go on, for it could not end
    ended = await device.ears.next()
    assert ended.exit is not None
    assert ended.exit.signal == 15


async def test_a_container_that_lost_its_supervisor_is_ended_whole(device: Device) -> None:
    await device.start("web", "sh", "-c", "setsid sleep 1000 & wait")
    await aeventually(lambda: len(device.processes("web")) == 2, what="the command did not start")
    supervisor = int((device.folder / "runtime/web/supervisor/lock").read_text())
    os.kill(supervisor, 9)
    ended = await device.ears.next()
    assert ended.exit is not None
    assert ended.exit.reason == "ContainerStatusUnknown"
    assert device.processes("web") == []


async def test_usage_comes_from_the_groups(device: Device) -> None:
    await device.start("web", "sh", "-c", "while :; do :; done", resources=Resources(cpu_limit_m=300))
    before = await device.bench.groups.usage(Uid("web"))
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(1)
    after, took = await device.bench.groups.usage(Uid("web")), asyncio.get_running_loop().time() - began
    assert before is not None
    assert after is not None
    assert 0 < (after.cpu_ns - before.cpu_ns) / 1e9 < 0.45 * took


async def test_the_runtime_says_whether_it_enforces_limits(device: Device, tmp_path: Path) -> None:
    assert "resources.limits" in device.runtime.honours
    assert ProcessRuntime(tmp_path / "other").honours == frozenset()
