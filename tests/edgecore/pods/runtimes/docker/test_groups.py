from __future__ import annotations

from pathlib import Path

import pytest

from edgecore.cgroups.controls import PodGroups
from edgecore.cgroups.layout import Bounds
from edgecore.pods.runtimes.docker.engine import About
from edgecore.pods.runtimes.docker.groups import parent_of
from edgecore.pods.runtimes.specs import Resources, SandboxSpec
from protocol.objects.keys import Uid
from protocol.objects.qos import QosClass

SANDBOX = SandboxSpec(Uid("a-b"), "default", "web", quality="Burstable", resources=Resources(cpu_limit_m=500))
LOCAL = "unix:///var/run/docker.sock"


class Made(PodGroups):
    """Groups that are only noted."""

    def __init__(self, *, enforced: bool = True) -> None:
        super().__init__()
        self.made: list[tuple[Uid, QosClass, int | None]] = []
        self._there = enforced

    @property
    def enforced(self) -> bool:
        return self._there

    async def make_pod(self, uid: Uid, quality: QosClass, bounds: Bounds) -> str:
        self.made.append((uid, quality, bounds.cpu_limit_m))
        return f"/pods/burstable/pod{uid}"


def about(driver: str) -> About:
    return About("29", "amd64", podman=False, folder=str(Path("/")), cgroup_driver=driver)


@pytest.mark.parametrize(
    ("driver", "parent", "made"),
    [
        ("cgroupfs", "/pods/burstable/poda-b", [(Uid("a-b"), "Burstable", 500)]),
        ("systemd", "aiokubeedge-burstable-poda_b.slice", []),
        ("none", "", []),
        ("", "", []),
    ],
)
async def test_whose_groups_a_pods_containers_are_in(
    driver: str, parent: str, made: list[tuple[Uid, QosClass, int | None]]
) -> None:
    groups = Made()
    assert await parent_of(SANDBOX, groups, about(driver), LOCAL) == parent
    assert groups.made == made


async def test_an_engine_that_shares_no_groups_with_the_agent_is_left_alone() -> None:
    assert await parent_of(SANDBOX, Made(), about("cgroupfs"), "tcp://10.0.0.2:2376") == ""
    assert await parent_of(SANDBOX, Made(enforced=False), about("cgroupfs"), LOCAL) == ""
    assert await parent_of(SANDBOX, Made(), None, LOCAL) == ""
