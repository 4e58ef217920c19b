"""Pods' groups for the event loop, and for devices that have none: there every act does nothing and says so."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from edgecore.cgroups.base import PodsRoom, PodUse
from edgecore.cgroups.discovery import LIMITING, Hierarchies, discover
from edgecore.cgroups.drivers import Entry
from edgecore.cgroups.groups import GroupTree, remove_abandoned
from edgecore.cgroups.layout import Bounds, shares_of
from edgecore.cgroups.notes import Notes
from edgecore.cgroups.place import TOP, choose, settle
from protocol.objects.keys import Uid
from protocol.objects.qos import QosClass

log = structlog.get_logger(__name__)

NONE: Final = "none"
"""The setting that asks for no control groups."""
_PIDS_KEPT: Final = 0.1


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """What is to be known before groups can be made.

    Attributes:
        name: Tells this agent's tree from those of others on the machine.
        notes: The folder of what cannot be read from groups.
        root: Where the tree is to be, below the top of each hierarchy; empty to find a place, :data:`NONE` for none.
        cpus: The node's processors.
        memory_bytes: Memory that all pods may have together; None to leave that open, and pids too.
    """

    name: str
    notes: Path
    root: str = ""
    cpus: int = 1
    memory_bytes: int | None = None


class PodGroups:
    """Implements :class:`edgecore.cgroups.base.PodControls`, and makes the groups that runtimes put containers into.

    Args:
        tree: The groups; None where there are none.
        problem: What is wrong with that; empty where nothing is.
    """

    def __init__(self, tree: GroupTree | None = None, problem: str = "") -> None:
        self._tree = tree
        self.problem = problem

    @property
    def enforced(self) -> bool:
        """Whether there are groups."""
        return self._tree is not None

    @property
    def controllers(self) -> frozenset[str]:
        """The controllers that hold pods within limits here."""
        return frozenset() if self._tree is None else self._tree.controllers & {*LIMITING}

    # --- for runtimes ---------------------------------------------------------------------------------------------

    async def make_pod(self, uid: Uid, quality: QosClass, bounds: Bounds) -> str:
        """Make a pod's group and return its path below the top of each hierarchy; empty where there are no groups.

        Idempotent, and quick where nothing has changed.

        Raises:
            OSError: The kernel refuses.
        """
        if self._tree is None:
            return ""
        return await asyncio.to_thread(self._tree.make_pod, uid, quality, bounds)

    async def make_container(self, uid: Uid, name: str, bounds: Bounds) -> Entry:
        """Make the group of a container that is about to start; what is left in it of an earlier instance is killed.

        Raises:
            OSError: The kernel refuses.
            ValueError: Its pod has no group.
        """
        if self._tree is None:
            return Entry()
        return await asyncio.to_thread(self._tree.make_container, uid, name, bounds)

    async def kill_container(self, uid: Uid, name: str) -> None:
        """Kill what is left in a container's group."""
        if self._tree is not None:
            await asyncio.to_thread(self._tree.kill_container, uid, name)

    async def remove_pod(self, uid: Uid) -> None:
        """Kill what is left in a pod's group, and remove it.

        Raises:
            OSError: Something does not die.
        """
        if self._tree is not None and not await asyncio.to_thread(self._tree.remove_pod, uid):
            raise OSError(16, "a pod's control group does not become empty", str(uid))

    def is_paused(self, uid: Uid) -> bool:
        """Tell whether a pod is paused: one read."""
        return self._tree is not None and self._tree.is_paused(uid)

    # --- for whoever looks after the node -------------------------------------------------------------------------

    async def pods(self) -> frozenset[Uid]:
        """Return every pod that has a group, known or not."""
        return frozenset() if self._tree is None else await asyncio.to_thread(self._tree.pods)

    async def is_empty(self, uid: Uid) -> bool:
        """Tell whether no process is in a pod's group."""
        return self._tree is None or await asyncio.to_thread(self._tree.is_empty, uid)

    def close(self) -> None:
        """Let go of the groups; pods go on in theirs."""
        if self._tree is not None:
            self._tree.close()

    # --- PodControls ----------------------------------------------------------------------------------------------

    async def throttle(self, uid: Uid, cpu_fraction: float | None) -> bool:
        """Let a pod have a share of its processor time, or all of it again."""
        return self._tree is not None and await asyncio.to_thread(self._tree.throttle, uid, cpu_fraction)

    async def pause(self, uid: Uid) -> bool:
        """Stop a pod where it stands."""
        return self._tree is not None and await asyncio.to_thread(self._tree.pause, uid)

    async def resume(self, uid: Uid) -> bool:
        """Let a paused pod go on."""
        return self._tree is not None and await asyncio.to_thread(self._tree.resume, uid)

    async def throttled(self) -> frozenset[Uid]:
        """Return the pods that are throttled."""
        return frozenset() if self._tree is None else self._tree.throttled()

    async def paused(self) -> frozenset[Uid]:
        """Return the pods that are paused."""
        return frozenset() if self._tree is None else await asyncio.to_thread(self._tree.paused)

    async def usage(self, uid: Uid) -> PodUse | None:
        """Return what a pod uses."""
        return None if self._tree is None else await asyncio.to_thread(self._tree.usage, uid)

    async def oom_kills(self, uid: Uid) -> int:
        """Return how many of a pod's processes the kernel has killed for want of memory."""
        return 0 if self._tree is None else await asyncio.to_thread(self._tree.oom_kills, uid)

    async def room(self) -> PodsRoom | None:
        """Return how the group above all pods fares."""
        return None if self._tree is None else await asyncio.to_thread(self._tree.room)


def open_groups(settings: GroupSettings, *, seen: Hierarchies | None = None) -> PodGroups:
    """Take over this agent's tree of groups, or make it; without the right to that, return one that does nothing.

    Blocks. Never fails: what is missing is logged once, and is :attr:`PodGroups.problem`.

    Args:
        settings: See :class:`GroupSettings`.
        seen: The hierarchies; looked for where they are not given.
    """
    if settings.root == NONE:
        return PodGroups(None, "control groups are switched off (cgroup_root: none)")
    found = seen or discover()
    if found is None:
        return _without("no control-group hierarchy with cpu, memory or pids is mounted")
    try:
        place = choose(found, settings.name, settings.root, root=os.geteuid() == 0)
        driver = settle(found, place)
        tree = GroupTree(driver, Notes(settings.notes), path=f"/{place.path}", cpus=settings.cpus)
        tree.open(_allocatable(settings))
        if place.path.startswith(f"{TOP}/"):
            remove_abandoned(driver.beside())
    except OSError as error:
        return _without(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    missing = sorted({*LIMITING} - driver.controllers)
    problem = f"not enforced here: limits of {', '.join(missing)}" if missing else ""
    if problem:
        log.warning("pods are not held to all of their limits", cause=problem)
    log.info("pods run in control groups", version=driver.version, path=tree.path, controllers=sorted(tree.controllers))
    return PodGroups(tree, problem)


def _without(why: str) -> PodGroups:
    log.warning("pods run without control groups: their limits are not enforced", cause=why)
    return PodGroups(None, f"limits of pods are not enforced: {why}")


def _allocatable(settings: GroupSettings) -> Bounds:
    shares = shares_of(settings.cpus * 1000)
    if settings.memory_bytes is None:
        return Bounds(cpu_shares=shares)
    return Bounds(
        cpu_shares=shares, memory_limit_bytes=settings.memory_bytes, pids_limit=pids_of(Path("/proc/sys/kernel"))
    )


def pids_of(kernel: Path) -> int | None:
    """Return how many processes and threads all pods may have: the kernel's own bound but a tenth, for the system."""
    bounds = []
    for name in ("pid_max", "threads-max"):
        try:
            bounds.append(int((kernel / name).read_text()))
        except (OSError, ValueError):
            continue
    return int(min(bounds) * (1 - _PIDS_KEPT)) if bounds else None
