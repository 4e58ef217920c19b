from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgecore.cgroups.controls import GroupSettings, PodGroups, open_groups, pids_of
from edgecore.cgroups.discovery import Hierarchies, Hierarchy
from edgecore.cgroups.drivers import Entry
from edgecore.cgroups.groups import remove_abandoned
from edgecore.cgroups.layout import Bounds, shares_of
from protocol.objects.keys import Uid
from tests.support.controlgroups import GroupBench, missing
from tests.support.waiting import aeventually

WHY_NOT = missing()
real = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "there are control groups")
POD = Uid("11111111-aaaa")
MIB = 1 << 20


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[GroupBench]:
    bench = GroupBench(tmp_path)
    yield bench
    await bench.clean()


def run(entry: Entry, *argv: str) -> subprocess.Popen[bytes]:
    enter = "".join(f"echo $$ > {path}\n" for path in entry.joins)
    return subprocess.Popen(["sh", "-c", f'{enter}exec "$@"', "sh", *argv])


async def busy(groups: PodGroups, within_s: float = 0.6) -> float:
    """Return the processors that the pod uses."""
    before, began = await groups.usage(POD), asyncio.get_running_loop().time()
    await asyncio.sleep(within_s)
    after, ended = await groups.usage(POD), asyncio.get_running_loop().time()
    assert before is not None
    assert after is not None
    return (after.cpu_ns - before.cpu_ns) / 1e9 / (ended - began)


@real
@pytest.mark.e2e
class TestReal:
    async def test_a_pod_is_slowed_stopped_and_let_go(self, bench: GroupBench) -> None:
        groups = bench.groups
        await groups.make_pod(POD, "Burstable", Bounds(cpu_limit_m=500))
        entry = await groups.make_container(POD, "main", Bounds(cpu_limit_m=500))
        with run(entry, "sh", "-c", "while :; do :; done") as process:
            assert await busy(groups) < 0.7
            assert await groups.throttle(POD, 0.2)
            assert await busy(groups) < 0.3
            groups = bench.again()  # what was done outlasts the agent
            assert {*await groups.throttled()} == {POD}
            assert not await groups.paused()
            assert await groups.pause(POD)
            assert await groups.paused() == {POD}
            assert await busy(groups) == 0
            assert await groups.resume(POD)
            assert await groups.throttle(POD, None)
            assert not await groups.throttled()
            assert not await groups.paused()
            quotas = dict(groups._tree._driver.quotas("burstable/pod" + POD)) if groups._tree else {}
            assert set(quotas.values()) == {50_000}
            await groups.remove_pod(POD)
            assert process.wait() == -9

    async def test_a_paused_pod_can_be_removed(self, bench: GroupBench) -> None:
        await bench.groups.make_pod(POD, "BestEffort", Bounds())
        entry = await bench.groups.make_container(POD, "main", Bounds())
        with run(entry, "sleep", "1000") as process:
            await aeventually(lambda: "sleep" in _command(process.pid), what="the command did not start")
            assert await bench.groups.pause(POD)
            await bench.groups.remove_pod(POD)
            assert process.wait() == -9
        assert await bench.groups.pods() == set()

    async def test_a_container_that_starts_in_a_throttled_pod_is_throttled(self, bench: GroupBench) -> None:
        await bench.groups.make_pod(POD, "Burstable", Bounds())
        assert await bench.groups.throttle(POD, 0.1)  # of two processors
        await bench.groups.make_container(POD, "main", Bounds(cpu_limit_m=1000))
        assert bench.groups._tree is not None
        quotas = dict(bench.groups._tree._driver.quotas(f"burstable/pod{POD}"))
        assert list(quotas.values()) == [20_000, 20_000]
        assert await bench.groups.throttle(POD, None)
        quotas = dict(bench.groups._tree._driver.quotas(f"burstable/pod{POD}"))
        assert list(quotas.values()) == [None, 100_000]

    async def test_classes_share_the_processor_by_requests(self, bench: GroupBench) -> None:
        for uid, milli in (("a", 250), ("b", 500)):
            await bench.groups.make_pod(Uid(uid), "Burstable", Bounds(cpu_shares=shares_of(milli)))
        tree = bench.groups._tree
        assert tree is not None
        assert tree._driver.version == 2 or (bench.folder("cpu", "burstable") / "cpu.shares").read_text() == "768\n"
        await bench.groups.remove_pod(Uid("a"))
        assert tree._driver.version == 2 or (bench.folder("cpu", "burstable") / "cpu.shares").read_text() == "512\n"

    async def test_all_pods_together_are_held_to_what_is_allocatable(self, bench: GroupBench) -> None:
        room = await bench.groups.room()
        assert room is not None
        assert room.memory_limit_bytes == 1 << 30
        assert room.pids_limit == pids_of(Path("/proc/sys/kernel"))

    async def test_a_second_agent_does_not_get_the_tree(self, bench: GroupBench) -> None:
        other = open_groups(bench.settings)
        assert not other.enforced
        assert "another agent" in other.problem

    async def test_trees_that_agents_have_abandoned_are_removed_once_nothing_runs_there(
        self, bench: GroupBench, tmp_path: Path
    ) -> None:
        top, made = bench.settings.root, {}
        for name in ("held", "killed", "running"):
            settings = replace(bench.settings, root=f"{top}/{name}", notes=tmp_path / name)
            made[name] = open_groups(settings)
            await made[name].make_pod(POD, "Burstable", Bounds())
        entry = await made["running"].make_container(POD, "main", Bounds())
        with run(entry, "sleep", "1000") as process:
            await aeventually(lambda: "sleep" in _command(process.pid), what="the command did not start")
            for name in ("killed", "running"):
                tree = made[name]._tree
                assert tree is not None
                os.close(tree._claim)  # as the kernel does for an agent that was killed
                tree._claim = -1
            held = made["held"]._tree
            assert held is not None
            assert remove_abandoned(held._driver.beside()) == ["besteffort", "burstable", "killed"]
            process.kill()
        await made["running"].remove_pod(POD)
        await made["held"].remove_pod(POD)
        for groups in made.values():
            groups.close()

    async def test_of_an_empty_tree_nothing_is_left(self, bench: GroupBench) -> None:
        await bench.groups.make_pod(POD, "Guaranteed", Bounds())
        await bench.groups.remove_pod(POD)
        bench.groups.close()
        assert not bench.folder("memory").exists()

    async def test_who_may_not_make_groups_goes_on_without(self, bench: GroupBench) -> None:
        os.seteuid(65534)
        try:
            groups = open_groups(GroupSettings("e1", bench.settings.notes, root="/aiokubeedge-test-not-allowed"))
        finally:
            os.seteuid(0)
        assert "not enforced" in groups.problem


async def test_without_groups_every_act_says_so(tmp_path: Path) -> None:
    groups = open_groups(GroupSettings("e1", tmp_path, root="none"))
    assert not groups.enforced
    assert groups.controllers == frozenset()
    assert "switched off" in groups.problem
    assert await groups.make_pod(POD, "Burstable", Bounds()) == ""
    assert await groups.make_container(POD, "main", Bounds()) == Entry()
    acts = [await groups.throttle(POD, 0.5), await groups.pause(POD), await groups.resume(POD)]
    assert acts == [False, False, False]
    assert (await groups.usage(POD), await groups.room(), await groups.oom_kills(POD)) == (None, None, 0)
    await groups.remove_pod(POD)
    groups.close()


def test_a_read_only_hierarchy_is_said_once_and_nothing_fails(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    place = Hierarchy(blocked, blocked)
    groups = open_groups(GroupSettings("e1", tmp_path), seen=Hierarchies(1, {"memory": place}))
    assert groups.problem.startswith("limits of pods are not enforced: ")


def test_how_many_processes_pods_may_have(tmp_path: Path) -> None:
    (tmp_path / "pid_max").write_text("32768\n")
    assert pids_of(tmp_path) == 29491
    assert pids_of(tmp_path / "nowhere") is None


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()
