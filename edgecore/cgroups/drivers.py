"""Groups of one version as files: made, set, joined, frozen, killed, measured and removed.

Everything here blocks, for microseconds mostly; killing and freezing may take a moment longer. Paths are relative to
the folder the driver was given, and empty for that itself.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

from edgecore.cgroups import killing
from edgecore.cgroups.base import PodUse
from edgecore.cgroups.layout import OPTIONAL, Bounds, Values, Version, values_of

_REMOVE_TRIES: Final = 40
_PAUSE_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Entry:
    """How a process gets into a group, and what is asked of the group from then on.

    Attributes:
        joins: The files into which the process writes 0; empty where there is no group.
        group: The folder through which all of it is killed.
        memory_events: Where the kernel counts those it killed for want of memory; empty where it does not.
    """

    joins: tuple[str, ...] = ()
    group: str = ""
    memory_events: str = ""


class Driver(ABC):
    """Groups of one version.

    Args:
        folders: Where each controller's groups are: folders of the control-group file system, which may not exist yet.
        others: The same folder in hierarchies that are not used here, but by engines: what these leave is removed.
    """

    version: ClassVar[Version]

    def __init__(self, folders: Mapping[str, Path], others: Sequence[Path] = ()) -> None:
        self._folders = dict(folders)
        self._others = tuple(others)
        self._places = tuple(dict.fromkeys(folders.values()))

    @property
    def controllers(self) -> frozenset[str]:
        """The controllers there are."""
        return frozenset(self._folders)

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders themselves, each once."""
        return self._places

    def beside(self) -> Self:
        """Return a driver of the folder that contains this one's."""
        folders = {controller: folder.parent for controller, folder in self._folders.items()}
        return type(self)(folders, [other.parent for other in self._others])

    def at(self, controller: str, path: str, file: str = "") -> Path | None:
        """Return the folder of a group in a controller's hierarchy, or a file of it; None without the controller."""
        folder = self._folders.get(controller)
        return None if folder is None else folder / path / file

    # --- making ---------------------------------------------------------------------------------------------------

    def make(self, path: str, bounds: Bounds, *, inner: bool) -> None:
        """Make a group, where it is missing, and hold it to ``bounds``.

        Args:
            path: The group; the one that contains it exists.
            bounds: Its limits.
            inner: Whether groups will be made in it, and not processes be put into it.

        Raises:
            OSError: The kernel refuses.
        """
        for place in self._places:
            (place / path).mkdir(parents=True, exist_ok=True)
        if inner:
            self._open_for_groups(path)
        self.set(path, values_of(bounds, self.version))

    @abstractmethod
    def _open_for_groups(self, path: str) -> None:
        """Let the groups within have controllers of their own."""

    def set(self, path: str, values: Values) -> None:
        """Write values, in their order; what the kernel refuses once more, for some bound each other.

        Raises:
            OSError: It refuses again.
        """
        refused: list[tuple[Path, str]] = []
        for (controller, file), value in values.items():
            target = self.at(controller, path, file)
            if target is None or (file in OPTIONAL and not target.exists()):
                continue
            if killing.text(str(target)) != value and not killing.put(str(target), value):
                refused.append((target, value))
        for target, value in refused:
            write(target, value)

    def entry(self, path: str) -> Entry:
        """Return how a process gets into a group."""
        joins = tuple(str(place / path / "cgroup.procs") for place in self._places)
        return Entry(joins, str(self.killed_through(path)), str(self._memory_events(path) or ""))

    # --- ending ---------------------------------------------------------------------------------------------------

    def killed_through(self, path: str) -> Path:
        """Return the folder through which a group is frozen and killed."""
        return self._folders.get("freezer", self._places[0]) / path

    def kill(self, path: str) -> bool:
        """Kill everything in a group; tell whether nothing is left."""
        return killing.kill(str(self.killed_through(path)))

    def remove(self, path: str) -> bool:
        """Remove a group and all within it, all of it empty of processes; tell whether it is gone."""
        for other in self._others:
            _remove(other / path)
        return all([_remove(place / path) for place in self._places])

    def freeze(self, path: str) -> bool:
        """Stop everything in a group; tell whether it stands still."""
        return killing.freeze(str(self.killed_through(path)))

    def thaw(self, path: str) -> bool:
        """Let a group go on."""
        return killing.thaw(str(self.killed_through(path)))

    def is_frozen(self, path: str) -> bool:
        """Tell whether a group was stopped."""
        return killing.is_frozen(str(self.killed_through(path)))

    # --- looking --------------------------------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        """Tell whether there is such a group, in any of the hierarchies."""
        return any((place / path).is_dir() for place in self._places)

    def children(self, path: str) -> list[str]:
        """Return the names of the groups in a group, in any of the hierarchies."""
        found: set[str] = set()
        for place in self._places:
            found |= set(_folders_in(place / path))
        return sorted(found)

    def processes(self, path: str) -> list[int]:
        """Return the processes in a group and below."""
        return killing.processes(str(self.killed_through(path)))

    def quotas(self, path: str) -> Iterator[tuple[str, int | None]]:
        """Yield each group at ``path`` and below with its processor quota, outer ones first.

        The quota is in microseconds of each period of ``layout.PERIOD_US``; None for no limit.
        """
        top = self.at("cpu", path)
        for folder in killing.below(str(top)) if top is not None else ():
            inner = os.path.relpath(folder, self._folders["cpu"])
            yield inner, self._quota(folder)

    @abstractmethod
    def _quota(self, folder: str) -> int | None:
        """Return the quota of a folder, in microseconds of each ``layout.PERIOD_US``."""

    @abstractmethod
    def set_quota(self, path: str, quota_us: int | None) -> bool:
        """Set the processor quota of one group; tell whether the kernel took it."""

    @abstractmethod
    def usage(self, path: str) -> PodUse | None:
        """Return what a group uses; None where it is gone or cannot be measured."""

    @abstractmethod
    def limits(self, path: str) -> tuple[int | None, int | None]:
        """Return a group's limits of memory, bytes, and of processes."""

    def stalled(self, path: str) -> float | None:
        """Return the share of the last ten seconds in which some process waited for memory."""
        return None

    def oom_kills(self, path: str) -> int:
        """Return how many processes in a group and below the kernel has killed for want of memory."""
        folder = self.at("memory", path)
        if folder is None:
            return 0
        return sum(killing.oom_kills(str(self._memory_events(each))) for each in self._counted(str(folder)))

    def _counted(self, folder: str) -> list[str]:
        return killing.below(folder)

    @abstractmethod
    def _memory_events(self, path: str) -> Path | None:
        """Return the file that counts those killed for want of memory."""

    def _pids(self, path: str) -> int:
        counted = self.at("pids", path, "pids.current")
        return number(counted) or 0 if counted is not None else 0


def write(path: Path, value: str) -> None:
    """Write a file that exists.

    Raises:
        OSError: The kernel refuses; it names the file.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OSError(error.errno, f"{os.strerror(error.errno or 0)} (writing {value})", str(path)) from error


def _remove(top: Path) -> bool:
    for _ in range(_REMOVE_TRIES):
        folders = killing.below(str(top))
        if not folders:
            return True
        for folder in reversed(folders):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError:
                time.sleep(_PAUSE_S)  # a process is just leaving it
                break
    return not top.exists()


def _folders_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def number(path: Path) -> int | None:
    """Return the number in a file; None where there is none (``max``)."""
    try:
        return int(killing.text(str(path)))
    except ValueError:
        return None


def fields(path: Path) -> dict[str, int]:
    """Return the lines of a file that are a name and a number."""
    lines = (line.split() for line in killing.text(str(path)).splitlines())
    return {parts[0]: int(parts[1]) for parts in lines if len(parts) == 2 and parts[1].isdecimal()}
