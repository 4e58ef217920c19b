"""Accounts of control groups, on trees as the kernel shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecore.cgroups.accounts import GroupUse, accounts_of, read_accounts

V1_MEMBERSHIP = "4:memory:/edge/burstable/podu1/main\n3:cpuacct,cpu:/edge/burstable/podu1/main\n0::/\n"
V2_MEMBERSHIP = "0::/edge/podu1/main\n"
MARKERS = ["other", "podu1"]


def put(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


class Machine:
    """A procfs and, somewhere, the control-group file systems that it tells of."""

    def __init__(self, root: Path) -> None:
        self.proc, self.groups = root / "proc", root / "not-in-sys" / "groups"

    def mount_v1(self) -> None:
        points = "\n".join(
            f"3{number} 25 0:{number} / {self.groups}/{name} rw - cgroup cgroup rw,{name}"
            for number, name in enumerate(("cpu,cpuacct", "memory"))
        )
        put(self.proc / "self", mountinfo=f"{points}\n", cgroup="0::/\n")

    def mount_v2(self) -> None:
        put(self.groups, cgroup__controllers="cpu memory pids")
        put(self.proc / "self", mountinfo=f"30 23 0:26 / {self.groups} rw - cgroup2 cgroup2 rw\n", cgroup="0::/\n")

    def place(self, pid: int, membership: str) -> None:
        put(self.proc / str(pid), cgroup=membership)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_version_1(machine: Machine) -> None:
    machine.mount_v1()
    machine.place(7, V1_MEMBERSHIP)
    put(machine.groups / "cpu,cpuacct/edge/burstable/podu1/main", cpuacct__usage="2500000000\n")
    stat = "cache 5\ninactive_file 1\ntotal_inactive_file 1048576\n"
    memory = machine.groups / "memory/edge/burstable/podu1/main"
    put(memory, memory__usage_in_bytes="3145728\n", memory__stat=stat)
    accounts = accounts_of(7, MARKERS, proc=machine.proc)
    assert accounts is not None
    assert read_accounts(accounts) == GroupUse(2.5, 2 << 20)


def test_version_2(machine: Machine) -> None:
    machine.mount_v2()
    machine.place(7, V2_MEMBERSHIP)
    put(
        machine.groups / "edge/podu1/main",
        cpu__stat="usage_usec 1500000\nuser_usec 1\n",
        memory__current="4096\n",
        memory__stat="inactive_file 9999\n",
    )
    accounts = accounts_of(7, MARKERS, proc=machine.proc)
    assert accounts is not None
    assert read_accounts(accounts) == GroupUse(1.5, 0)


def test_a_group_that_others_share_is_not_the_containers(machine: Machine) -> None:
    machine.mount_v1()
    machine.place(7, "4:memory:/system.slice/edge\n3:cpuacct,cpu:/podu11\n0::/xpodu1\n")
    machine.place(9, "4:memory:/edge/podu1\n3:cpuacct,cpu:/\n")
    assert accounts_of(7, MARKERS, proc=machine.proc) is None
    assert accounts_of(9, MARKERS, proc=machine.proc) is None


def test_without_a_process_or_a_hierarchy_there_are_no_accounts(machine: Machine) -> None:
    machine.place(7, V1_MEMBERSHIP)
    assert accounts_of(7, MARKERS, proc=machine.proc) is None
    machine.mount_v1()
    assert accounts_of(8, MARKERS, proc=machine.proc) is None
    assert accounts_of(7, MARKERS, proc=machine.proc) is not None


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_that_is_gone_has_no_use(machine: Machine, version: int) -> None:
    (machine.mount_v1 if version == 1 else machine.mount_v2)()
    machine.place(7, V1_MEMBERSHIP if version == 1 else V2_MEMBERSHIP)
    accounts = accounts_of(7, MARKERS, proc=machine.proc)
    assert accounts is not None
    assert read_accounts(accounts) is None
