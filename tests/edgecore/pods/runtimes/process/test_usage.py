from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgecore.cgroups.accounts import GroupAccounts
from edgecore.metrics.usage import ContainerUsage
from edgecore.pods.runtimes.process import proc, records, usage
from edgecore.pods.runtimes.process.usage import ProcessUsage, _added_up, _Instance, _Process
from protocol.objects.keys import Uid
from tests.support.waiting import aeventually

BURN = "import os\nif os.fork() == 0:\n    while True: pass\nos.wait()"
MEMORY = "import time\nkept = b'x' * (32 << 20)\ntime.sleep(3600)"


def record(root: Path, pod: str, name: str, pid: int, *, attempt: int = 0, boot: str = "", start: int = 0) -> Path:
    folder = root / pod / "containers" / name / str(attempt)
    folder.mkdir(parents=True)
    found = proc.stat(pid)
    started = start or (found.start_time if found else 0)
    fields = [("boot", boot or proc.boot_id()), ("pid", str(pid)), ("start", str(started)), ("image", "i")]
    records.write(str(folder / records.RUNNING), fields)
    return folder


@contextmanager
def running(program: str) -> Iterator[int]:
    """Run a Python program in a session of its own, as a container runs; end the whole session with the block."""
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, 9)
        process.wait()


async def measured(source: ProcessUsage) -> dict[tuple[str, str], ContainerUsage]:
    return {(each.pod, each.name): each for each in (await source.usage()).containers}


@pytest.mark.e2e
async def test_what_a_child_of_the_container_burns_is_counted(tmp_path: Path) -> None:
    source = ProcessUsage(tmp_path)
    with running(BURN) as burning, running(MEMORY) as holding:
        record(tmp_path, "u1", "burn", burning)
        record(tmp_path, "u2", "hold", holding)

        async def burnt() -> bool:
            return (await measured(source))["u1", "burn"].cpu_s > 0.5

        await aeventually(burnt, what="half a second of processor time")

        async def held() -> bool:
            return (await measured(source))["u2", "hold"].memory_bytes > 32 << 20

        await aeventually(held, what="32 MiB of memory")
    assert await measured(source) == {}


async def test_what_has_ended_or_is_somebody_else_s_is_not_measured(tmp_path: Path) -> None:
    source = ProcessUsage(tmp_path)
    assert await measured(source) == {}
    me = os.getpid()
    records.write(str(record(tmp_path, "ended", "c", me) / records.EXIT), [("at", "0")])
    record(tmp_path, "earlier-boot", "c", me, boot="another")
    record(tmp_path, "reused-pid", "c", me, start=1)
    record(tmp_path, "gone", "c", 1 << 22, start=1)
    (record(tmp_path, "torn", "c", me) / records.RUNNING).write_bytes(b"pid\0")
    (tmp_path / "stray-file").touch()
    assert await measured(source) == {}
    record(tmp_path, "mine", "c", me, attempt=3)
    [mine] = (await source.usage()).containers
    assert (mine.pod, mine.name, mine.instance) == ("mine", "c", "3")


async def test_a_control_group_is_asked_before_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "group"
    group.mkdir()
    accounts = GroupAccounts(1, group, group)
    (group / "cpuacct.usage").write_text("2000000000")
    (group / "memory.usage_in_bytes").write_text("8192")
    monkeypatch.setattr(usage, "accounts_of", lambda pid, markers: accounts if markers == ["podu1"] else None)
    monkeypatch.setattr(usage, "_processes", lambda: pytest.fail("no process need be looked at"))
    record(tmp_path / "pods", "u1", "c", os.getpid())
    assert (await ProcessUsage(tmp_path / "pods").usage()).containers == [
        ContainerUsage(Uid("u1"), "c", "0", 2.0, 8192)
    ]


def instance(pid: int, pod: str = "u", name: str = "c", start: int = 100) -> _Instance:
    return _Instance(Uid(pod), name, 0, pid, start, None)


def table(**processes: tuple[int, int, int, int]) -> dict[int, _Process]:
    """Processes as (parent, session, start, ticks) by ``p<pid>``, a page each."""
    return {int(name[1:]): _Process(*fields, 1) for name, fields in processes.items()}


SUPERVISED = {"p1": (0, 1, 0, 999), "p50": (1, 50, 90, 999), "p60": (50, 60, 100, 10)}


@pytest.mark.parametrize(
    ("more", "ticks"),
    [
        ({}, 10),
        ({"p61": (60, 60, 101, 5)}, 15),  # a child
        ({"p61": (50, 60, 101, 5)}, 15),  # an orphan of the session
        ({"p61": (60, 61, 101, 5), "p62": (61, 61, 102, 2)}, 17),  # a child that began a session, and its own
        ({"p61": (50, 61, 101, 5)}, 15),  # a stray that came to the supervisor
        ({"p61": (1, 61, 101, 500)}, 10),  # somebody else
        ({"p61": (1, 60, 99, 500)}, 10),  # older than the container: the number was another session's
        ({"p61": (62, 61, 101, 500), "p62": (61, 62, 101, 500)}, 10),  # a table that was read while it changed
    ],
)
def test_which_processes_are_a_container_s(more: Any, ticks: int) -> None:
    [used] = _added_up([instance(60)], table(**SUPERVISED, **more))
    assert used.cpu_s * usage._TICKS == pytest.approx(ticks)


def test_a_stray_of_a_pod_with_several_containers_is_nobody_s() -> None:
    processes = table(**SUPERVISED, p70=(50, 70, 100, 20), p61=(50, 61, 101, 500))
    used = _added_up([instance(60), instance(70, name="d")], processes)
    assert [round(each.cpu_s * usage._TICKS) for each in used] == [10, 20]


def test_processor_time_never_falls() -> None:
    counted = instance(60)
    assert [counted.counted(cpu_s) for cpu_s in (1.0, 5.0, 2.0, 2.5, 9.0)] == [1.0, 5.0, 5.0, 5.5, 12.0]
