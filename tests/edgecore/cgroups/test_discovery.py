from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgecore.cgroups.discovery import Hierarchies, discover, hierarchies

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
"""
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
MEMBER_V1 = "8:pids:/a\n4:memory:/b\n2:cpu,cpuacct:/\n1:name=systemd:/c\n0::/u\n"


def seen(mountinfo: str, membership: str, offered: str = "") -> Hierarchies | None:
    return hierarchies(mountinfo, membership, controllers_at=lambda point: offered.split())


def test_v1_has_a_hierarchy_per_controller() -> None:
    found = seen(V1, MEMBER_V1)
    assert found is not None
    assert found.version == 1
    root = Path("/sys/fs/cgroup")
    assert {name: each.point for name, each in found.controllers.items()} == {
        "cpu": root / "cpu,cpuacct",
        "cpuacct": root / "cpu,cpuacct",
        "memory": root / "memory",
        "pids": root / "pids",
        "freezer": root / "freezer",
    }
    assert found.controllers["memory"].own == root / "memory" / "b"
    assert found.controllers["cpu"].own == root / "cpu,cpuacct"


def test_hybrid_goes_by_where_the_controllers_are() -> None:
    found = seen(V1 + UNIFIED, MEMBER_V1, offered="hugetlb")
    assert found is not None
    assert found.version == 1
    found = seen(V1 + UNIFIED, MEMBER_V1, offered="cpu memory")
    assert found is not None
    assert (found.version, sorted(found.controllers)) == (2, ["cpu", "memory"])
    assert found.controllers["cpu"].own == Path("/sys/fs/cgroup/unified/u")


def test_v2_has_one_for_all() -> None:
    found = seen(V2, "0::/system.slice/edgecore.service/agent\n", offered="cpuset cpu io memory pids")
    assert found is not None
    assert (found.version, sorted(found.controllers)) == (2, ["cpu", "memory", "pids"])
    assert found.controllers["cpu"].own == Path("/sys/fs/cgroup/system.slice/edgecore.service/agent")
    assert found.controllers["cpu"].real_root


def test_a_container_sees_a_part_of_a_hierarchy() -> None:
    shown = "35 31 0:32 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    found = seen(shown, "4:memory:/docker/x/y\n")
    assert found is not None
    memory = found.controllers["memory"]
    assert (memory.own, memory.real_root) == (Path("/sys/fs/cgroup/memory/y"), False)
    outside = seen(shown, "4:memory:/../z\n")
    assert outside is not None
    assert outside.controllers["memory"].own == Path("/sys/fs/cgroup/memory")


def test_a_mount_point_with_a_blank() -> None:
    found = seen("35 31 0:32 / /c\\040g rw - cgroup cgroup rw,memory\n", "")
    assert found is not None
    assert found.controllers["memory"].point == Path("/c g")


def test_nothing_that_limits_pods() -> None:
    assert seen("", "") is None
    assert seen(UNIFIED, "0::/\n", offered="hugetlb") is None
    assert seen("37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n", "") is None


def test_without_procfs_nothing_is_seen(tmp_path: Path) -> None:
    assert discover(tmp_path) is None


@given(st.text(), st.text())
def test_whatever_the_files_hold_is_read(mountinfo: str, membership: str) -> None:
    seen(mountinfo, membership, offered="cpu")
