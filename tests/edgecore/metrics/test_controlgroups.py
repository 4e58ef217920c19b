"""Accounts of control groups, on trees as the kernel shows them."""

from __future__ import annotations

from pathlib import Path

from edgecore.metrics.controlgroups import GroupUse, group_of, read_group

V1_MEMBERSHIP = "4:memory:/edge/burstable/podu1/main\n3:cpuacct,cpu:/edge/burstable/podu1/main\n0::/\n"


def put(root: Path, **files: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name.replace("__", ".")).write_text(text)


def test_version_1(tmp_path: Path) -> None:
    put(tmp_path / "proc" / "7", cgroup=V1_MEMBERSHIP)
    root = tmp_path / "sys/fs/cgroup"
    put(root / "cpuacct/edge/burstable/podu1/main", cpuacct__usage="2500000000\n")
    stat = "cache 5\ninactive_file 1\ntotal_inactive_file 1048576\n"
    put(root / "memory/edge/burstable/podu1/main", memory__usage_in_bytes="3145728\n", memory__stat=stat)
    files = group_of(7, ["other", "podu1"], proc=tmp_path / "proc", sys=tmp_path / "sys")
    assert files is not None
    assert read_group(files) == GroupUse(2.5, 2 << 20)


def test_version_2(tmp_path: Path) -> None:
    put(tmp_path / "proc" / "7", cgroup="0::/edge/podu1/main\n")
    group = tmp_path / "sys/fs/cgroup/edge/podu1/main"
    put(
        group,
        cpu__stat="usage_usec 1500000\nuser_usec 1\n",
        memory__current="4096\n",
        memory__stat="inactive_file 9999\n",
    )
    files = group_of(7, ["other", "podu1"], proc=tmp_path / "proc", sys=tmp_path / "sys")
    assert files is not None
    assert read_group(files) == GroupUse(1.5, 0)


def test_a_group_that_others_share_is_not_the_containers(tmp_path: Path) -> None:
    put(tmp_path / "proc" / "7", cgroup="4:memory:/system.slice/edge\n3:cpuacct:/podu11\n0::/xpodu1\n")
    assert group_of(7, ["other", "podu1"], proc=tmp_path / "proc", sys=tmp_path / "sys") is None
    assert group_of(8, ["podu1"], proc=tmp_path / "proc", sys=tmp_path / "sys") is None


def test_a_group_without_accounts_or_that_is_gone_has_no_use(tmp_path: Path) -> None:
    put(tmp_path / "proc" / "7", cgroup="0::/edge/podu1/main\n")
    assert group_of(7, ["other", "podu1"], proc=tmp_path / "proc", sys=tmp_path / "sys") is None
    put(tmp_path / "proc" / "7", cgroup=V1_MEMBERSHIP)
    files = group_of(7, ["other", "podu1"], proc=tmp_path / "proc", sys=tmp_path / "sys")
    assert files is not None
    assert read_group(files) is None
