"""Which control-group hierarchies this process sees, and where it stands in them.

A kernel mounts v1 (a hierarchy per controller), v2 (one for all), or both (hybrid): then each controller is in one of
them, and v2 counts where it has what limits pods. Sources: proc_pid_mountinfo(5), cgroups(7).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgecore.cgroups.layout import Version

WANTED: Final = ("cpu", "cpuacct", "memory", "pids", "freezer")
"""The controllers of v1 that are used; v2 has no ``cpuacct`` and ``freezer``, for each group counts and freezes."""
LIMITING: Final = ("cpu", "memory", "pids")
"""The controllers that hold a pod within its limits."""

_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted hierarchy.

    Attributes:
        point: Where it is mounted.
        own: The group of the process in question, below ``point``.
        real_root: Whether ``point`` is the top of the hierarchy, and not of a part that is shown to a container.
    """

    point: Path
    own: Path
    real_root: bool = True


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """What this process sees.

    Attributes:
        version: Which version limits pods.
        controllers: Each controller's hierarchy, of those in :data:`WANTED` that there are; v2 has one for all.
        others: Where further hierarchies are mounted, in which engines make groups too.
    """

    version: Version
    controllers: Mapping[str, Hierarchy]
    others: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Mount:
    kind: str
    root: str
    point: str
    options: frozenset[str]


def discover(proc: Path = Path("/proc"), *, process: str = "self") -> Hierarchies | None:
    """Return what this process sees; None where no hierarchy could limit a pod.

    Args:
        proc: Where procfs is mounted.
        process: The pid of the process whose groups are asked for.
    """
    try:
        mounts = (proc / "self" / "mountinfo").read_text(errors="surrogateescape")
        membership = (proc / process / "cgroup").read_text(errors="surrogateescape")
    except OSError:
        return None
    return hierarchies(mounts, membership, controllers_at=_controllers_at)


def _controllers_at(point: Path) -> list[str]:
    try:
        return (point / "cgroup.controllers").read_text().split()
    except OSError:
        return []


def hierarchies(mountinfo: str, membership: str, *, controllers_at: Callable[[Path], list[str]]) -> Hierarchies | None:
    """Return what two files of ``/proc/self`` tell.

    Args:
        mountinfo: Content of ``mountinfo``.
        membership: Content of ``cgroup``.
        controllers_at: Returns the controllers of the v2 hierarchy mounted somewhere.
    """
    mounts, paths = _mounts(mountinfo), _paths(membership)
    unified = next((mount for mount in mounts if mount.kind == "cgroup2"), None)
    if unified is not None:
        offered = controllers_at(Path(unified.point))
        if not {*LIMITING}.isdisjoint(offered):
            place = _hierarchy(unified, paths.get("", "/"))
            return Hierarchies(2, {name: place for name in LIMITING if name in offered})
    found: dict[str, Hierarchy] = {}
    for mount in mounts:
        for name in WANTED:
            if mount.kind == "cgroup" and name in mount.options and name not in found:
                found[name] = _hierarchy(mount, paths.get(name, "/"))
    used = {each.point for each in found.values()}
    others = tuple(dict.fromkeys(Path(mount.point) for mount in mounts if Path(mount.point) not in used))
    return None if {*LIMITING}.isdisjoint(found) else Hierarchies(1, found, others)


def _hierarchy(mount: _Mount, path: str) -> Hierarchy:
    point = Path(mount.point)
    shown = mount.root.rstrip("/")
    # A process outside of what is mounted (``/../x``) stands nowhere in it; it is taken to be at the top.
    inside = path.startswith(f"{shown}/") and ".." not in path.split("/")
    own = point / path.removeprefix(shown).strip("/") if inside else point
    return Hierarchy(point, own, real_root=not shown)


def _mounts(text: str) -> list[_Mount]:
    found = []
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if dash and len(fields) >= 6 and len(rest) >= 3 and rest[0] in ("cgroup", "cgroup2"):
            options = frozenset(rest[2].split(","))
            found.append(_Mount(rest[0], _plain(fields[3]), _plain(fields[4]), options))
    return found


def _plain(text: str) -> str:
    """Undo mountinfo's octal escapes of blanks and backslashes."""
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), text)


def _paths(text: str) -> dict[str, str]:
    """Return the group of each v1 controller; that of v2 under the empty name."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        number, first, rest = line.partition(":")
        names, second, path = rest.partition(":")
        if first and second and number.isdecimal():
            paths |= dict.fromkeys(names.split(","), path)
    return paths
