"""Where this agent's groups are made: in what it was given to manage, else in a folder of its own beside the system's.

An agent that systemd has given a subtree (``Delegate=yes`` with ``DelegateSubgroup=agent``) makes them there. Without
``DelegateSubgroup`` root leaves it alone: once groups there have controllers, systemd could not start the next agent in
it (v2 allows no processes in a group whose children are controlled). An agent that is not root has no choice; it moves
itself out of the way, into a leaf.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgecore.cgroups import killing
from edgecore.cgroups.discovery import LIMITING, Hierarchies, Hierarchy
from edgecore.cgroups.drivers import Driver, write
from edgecore.cgroups.v1 import DriverV1
from edgecore.cgroups.v2 import DriverV2, enable

TOP: Final = "aiokubeedge"
"""The folder of agents that were given none."""
AGENT: Final = "agent"
"""The leaf with the agent itself, in a subtree that was given to it."""
PODS: Final = "pods"
"""The tree of pods, in a subtree that was given to the agent."""
_DELEGATED: Final = ("trusted.delegate", "user.delegate")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the tree of pods is.

    Attributes:
        folders: The tree's folder, by controller.
        path: The same for people and engines: below the top of each hierarchy.
        vacated: The v2 groups that processes have to leave for a leaf, before groups in them get controllers.
    """

    folders: Mapping[str, Path]
    path: str
    vacated: tuple[Path, ...] = ()


def is_delegated(folder: Path) -> bool:
    """Tell whether systemd has given a group away."""
    for name in _DELEGATED:
        try:
            if os.getxattr(folder, name) == b"1":
                return True
        except OSError:
            continue
    return False


def choose(
    seen: Hierarchies, name: str, wanted: str = "", *, root: bool, delegated: Callable[[Path], bool] = is_delegated
) -> Place:
    """Return where the tree of pods is to be.

    Args:
        seen: The hierarchies.
        name: Tells this agent from others of the machine.
        wanted: A path that a person has set, below the top of each hierarchy; empty to find one.
        root: Whether the agent is the superuser.
        delegated: Tells whether a group was given away.
    """
    if seen.version == 1 or wanted:
        path = wanted.strip("/") or f"{TOP}/{name}"
        return _at(seen, path)
    hierarchy = next(iter(seen.controllers.values()))
    own = hierarchy.own
    if own.name == AGENT and own != hierarchy.point and delegated(own.parent):
        return _at(seen, _below(hierarchy, own.parent / PODS))
    if not root:
        return _at(seen, _below(hierarchy, own / PODS), vacate=own)
    return _at(seen, f"{TOP}/{name}")


def _at(seen: Hierarchies, path: str, *, vacate: Path | None = None) -> Place:
    folders = {name: hierarchy.point / path for name, hierarchy in seen.controllers.items()}
    vacated = [vacate] if vacate is not None else []
    if seen.version == 2:
        hierarchy = next(iter(seen.controllers.values()))
        # What a container sees as the top is a group like others, with the container's processes in it.
        vacated += [hierarchy.point] if not hierarchy.real_root or _is_group(hierarchy.point) else []
    return Place(folders, path, tuple(dict.fromkeys(vacated)))


def _is_group(top: Path) -> bool:
    return (top / "cgroup.type").exists()


def _below(hierarchy: Hierarchy, folder: Path) -> str:
    return folder.relative_to(hierarchy.point).as_posix()


def settle(seen: Hierarchies, place: Place) -> Driver:
    """Make the tree's folder, and return what manages groups in it. What cannot be had is left out.

    Raises:
        OSError: No controller's folder can be made.
    """
    if seen.version == 2:
        return DriverV2(_settle_v2(seen, place))
    usable: dict[str, Path] = {}
    problem: OSError | None = None
    for name, folder in place.folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _check_writable(folder)
        except OSError as error:
            problem = error
        else:
            usable[name] = folder
    if {*LIMITING}.isdisjoint(usable):
        raise problem or OSError(f"no controller limits pods in {place.path}")
    return DriverV1(usable, [point / place.path for point in seen.others])


def _settle_v2(seen: Hierarchies, place: Place) -> dict[str, Path]:
    hierarchy = next(iter(seen.controllers.values()))
    folder = next(iter(place.folders.values()))
    for group in place.vacated:
        _vacate(group)
    folder.mkdir(parents=True, exist_ok=True)
    _check_writable(folder)
    for above in reversed([above for above in folder.parents if above.is_relative_to(hierarchy.point)]):
        # What was given away begins somewhere below, and what is above is not ours to change, nor need be.
        offered = killing.text(str(above / "cgroup.controllers")).split()
        enable(above, [name for name in place.folders if name in offered])
    offered = killing.text(str(folder / "cgroup.controllers")).split()
    usable = {name: folder for name in place.folders if name in offered}
    if not usable:
        raise OSError(f"{folder} has no controllers")
    return usable


def _vacate(group: Path) -> None:
    """Move the processes of a group into a leaf of it."""
    leaf = group / AGENT
    leaf.mkdir(exist_ok=True)
    for pid in killing.text(str(group / "cgroup.procs")).split():
        try:
            write(leaf / "cgroup.procs", pid)
        except ProcessLookupError:
            continue  # it has just ended


def _check_writable(folder: Path) -> None:
    if not os.access(folder / "cgroup.procs", os.W_OK):
        raise PermissionError(13, "Permission denied", str(folder / "cgroup.procs"))
