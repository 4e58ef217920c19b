"""Real control groups for tests: a tree per test, removed with all that is in it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from edgecore.cgroups.controls import GroupSettings, PodGroups, open_groups
from edgecore.cgroups.discovery import LIMITING, discover


def missing() -> str:
    """Return why this machine has no control groups for tests; empty where it has."""
    if os.geteuid() != 0:
        return "control groups need root"
    seen = discover()
    if seen is None or not {*LIMITING} <= set(seen.controllers):
        return "no control groups with cpu, memory and pids are mounted"
    point = seen.controllers["memory"].point
    return "" if os.access(point / "cgroup.procs", os.W_OK) else f"{point} is read-only"


class GroupBench:
    """A tree of groups, held by one agent after another."""

    def __init__(self, folder: Path, *, memory_bytes: int | None = 1 << 30) -> None:
        name = f"/aiokubeedge-test-{uuid4().hex[:12]}"
        self.settings = GroupSettings("test", folder / "cgroups", root=name, cpus=2, memory_bytes=memory_bytes)
        self.groups = open_groups(self.settings)
        assert self.groups.enforced, self.groups.problem

    def again(self) -> PodGroups:
        """Return the same tree as the next agent finds it."""
        self.groups.close()
        self.groups = open_groups(self.settings)
        return self.groups

    def folder(self, controller: str, path: str = "") -> Path:
        """Return the folder of a group."""
        seen = discover()
        assert seen is not None
        return seen.controllers[controller].point / self.settings.root.strip("/") / path

    async def clean(self) -> None:
        """End everything."""
        for uid in await self.groups.pods():
            await self.groups.remove_pod(uid)
        self.groups.close()
