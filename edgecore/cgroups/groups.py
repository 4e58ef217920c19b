"""The tree of pods' groups, as the agent holds it. Whatever runtime a pod has, its processes are in here.

Concurrency: everything is file work that blocks for microseconds, milliseconds where something is killed or frozen. It
is called in threads (by :class:`edgecore.cgroups.controls.PodGroups`), and one lock orders what changes the tree.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from edgecore.cgroups.base import PodsRoom, PodUse
from edgecore.cgroups.drivers import Driver, Entry
from edgecore.cgroups.layout import CLASSES, PERIOD_US, POD_PREFIX, Bounds, class_bounds, pod_folder, quota_of
from edgecore.cgroups.notes import Note, Notes
from protocol.objects.keys import Uid
from protocol.objects.qos import QosClass

log = structlog.get_logger(__name__)

_LEAST_QUOTA_US: Final = 1_000
_TAKE_TRIES: Final = 10
_TAKE_PAUSE_S: Final = 0.02


class GroupTree:
    """Makes, measures, slows, pauses and ends groups of pods. Blocks.

    Args:
        driver: Groups as files.
        notes: What cannot be read from them.
        path: The tree's path for engines: below the top of each hierarchy.
        cpus: The node's processors.
    """

    def __init__(self, driver: Driver, notes: Notes, *, path: str, cpus: int) -> None:
        self._driver = driver
        self._notes = notes
        self._path = path
        self._cpus = cpus
        self._lock = threading.RLock()
        self._claim = -1
        self._allocatable: Bounds | None = None

    @property
    def controllers(self) -> frozenset[str]:
        """The controllers there are."""
        return self._driver.controllers

    @property
    def path(self) -> str:
        """The tree's path, below the top of each hierarchy."""
        return self._path

    # --- life -----------------------------------------------------------------------------------------------------

    def open(self, allocatable: Bounds) -> None:
        """Take over the tree, where there is one, and hold all pods together to ``allocatable``.

        Raises:
            OSError: The kernel refuses, or another agent has the tree.
        """
        with self._lock:
            self._claim = self._take()
            self._notes.load()
            for uid, note in self._notes.held.items():
                if not self._driver.exists(pod_folder(note.quality, uid)):
                    self._notes.forget(uid)
            for folder in CLASSES.values():
                if folder:
                    self._driver.make(folder, Bounds(), inner=True)
            self._balance()
            self._hold_to(allocatable)

    def _take(self) -> int:
        """Make the tree's folder and lock it, though another agent may just be removing it as abandoned.

        Raises:
            OSError: The kernel refuses, or another agent has the tree.
        """
        folder = self._driver.places[0]
        for _ in range(_TAKE_TRIES):
            self._driver.make("", Bounds(), inner=True)
            descriptor = claim(folder)
            if descriptor >= 0 and folder.exists() and os.path.samestat(os.fstat(descriptor), folder.stat()):
                return descriptor
            if descriptor >= 0:
                os.close(descriptor)
            time.sleep(_TAKE_PAUSE_S)
        raise OSError(errno.EBUSY, "another agent has this tree of control groups", str(folder))

    def _hold_to(self, allocatable: Bounds) -> None:
        promised = class_bounds((note.bounds for note in self._notes.held.values()), "Burstable")
        kept, spared = promised.memory_kept_bytes, promised.memory_spared_bytes
        self._allocatable = replace(allocatable, memory_kept_bytes=kept, memory_spared_bytes=spared)
        try:
            self._driver.make("", self._allocatable, inner=True)
        except OSError as error:
            log.warning("pods together are not held to what is allocatable", cause=str(error))

    def close(self) -> None:
        """Let go of the tree; of an empty one nothing is left behind."""
        with self._lock:
            if not self.pods() and not self._driver.processes(""):
                self._driver.remove("")
            if self._claim >= 0:
                os.close(self._claim)
                self._claim = -1

    # --- pods and containers --------------------------------------------------------------------------------------

    def make_pod(self, uid: Uid, quality: QosClass, bounds: Bounds) -> str:
        """Make a pod's group, where it is missing, and hold it to ``bounds``; return its path.

        Raises:
            OSError: The kernel refuses.
            ValueError: The uid cannot name a folder.
        """
        folder = pod_folder(quality, uid)
        with self._lock:
            note = self._notes.get(uid)
            if note != Note(quality, bounds) or not self._driver.exists(folder):
                fraction = note.fraction if note is not None else None
                if fraction is not None:
                    self.throttle(uid, None)
                self._driver.make(folder, bounds, inner=True)
                self._notes.put(uid, Note(quality, bounds))
                self._balance()
                if fraction is not None:
                    self.throttle(uid, fraction)
        return f"{self._path}/{folder}"

    def make_container(self, uid: Uid, name: str, bounds: Bounds) -> Entry:
        """Make the group of a container that is about to start, empty and with its counters at nothing.

        Raises:
            OSError: The kernel refuses.
            ValueError: Its pod has no group, or the name cannot name a folder.
        """
        if not name or "/" in name or name in (".", ".."):
            raise ValueError(f"container name {name!r} cannot name a control group")
        with self._lock:
            note = self._notes.get(uid)
            if note is None:
                raise ValueError(f"pod {uid} has no control group")
            path = f"{pod_folder(note.quality, uid)}/{name}"
            self._driver.kill(path)
            self._driver.remove(path)
            if note.fraction is None or bounds.cpu_limit_m is None:
                self._driver.make(path, bounds, inner=False)
            else:
                # v1 lets no group have more than the one above it.
                self._driver.make(path, replace(bounds, cpu_limit_m=None), inner=False)
                quota = quota_of(bounds.cpu_limit_m)
                self._driver.set_quota(path, min(quota, self._throttled_us(note)))
                self._notes.lower(uid, note.fraction, {**note.lowered, name: quota})
            return self._driver.entry(path)

    def kill_container(self, uid: Uid, name: str) -> bool:
        """Kill what is left in a container's group; tell whether nothing is."""
        path = self._pod_path(uid)
        return path is None or self._driver.kill(f"{path}/{name}")

    def remove_pod(self, uid: Uid) -> bool:
        """Kill what is left of a pod, and remove its group; tell whether it is gone."""
        with self._lock:
            folders = [folder for folder in self._paths(uid) if self._driver.exists(folder)]
            for folder in folders:
                self._driver.thaw(folder)
                self._driver.kill(folder)
            gone = all([self._driver.remove(folder) for folder in folders])
            if gone and self._notes.get(uid) is not None:
                self._notes.forget(uid)
                self._balance()
            return gone

    def pods(self) -> frozenset[Uid]:
        """Return every pod that has a group."""
        return frozenset(
            Uid(name.removeprefix(POD_PREFIX))
            for folder in CLASSES.values()
            for name in self._driver.children(folder)
            if name.startswith(POD_PREFIX)
        )

    def is_empty(self, uid: Uid) -> bool:
        """Tell whether no process is in a pod's group."""
        return not any(self._driver.processes(folder) for folder in self._paths(uid))

    def _balance(self) -> None:
        """Divide the processor and the promises of memory between the classes, and what is above them."""
        held = self._notes.held.values()
        for quality, folder in CLASSES.items():
            if folder:
                bounds = class_bounds((note.bounds for note in held if note.quality == quality), quality)
                self._try_to_hold(folder, bounds)
        if self._allocatable is not None:
            self._hold_to(self._allocatable)

    def _try_to_hold(self, folder: str, bounds: Bounds) -> None:
        try:
            self._driver.make(folder, bounds, inner=True)
        except OSError as error:
            log.warning("a class of pods is not held to its sums", folder=folder, cause=str(error))

    def _pod_path(self, uid: Uid) -> str | None:
        """Return the path of a pod's group, if it has one."""
        return next((folder for folder in self._paths(uid) if self._driver.exists(folder)), None)

    def _paths(self, uid: Uid) -> list[str]:
        note = self._notes.get(uid)
        return [pod_folder(quality, uid) for quality in ((note.quality,) if note is not None else CLASSES)]

    # --- acts -----------------------------------------------------------------------------------------------------

    def throttle(self, uid: Uid, fraction: float | None) -> bool:
        """Let a pod have a share of its processor time, or all of it again."""
        with self._lock:
            note, path = self._notes.get(uid), self._pod_path(uid)
            if note is None or path is None or "cpu" not in self.controllers:
                return False
            before = self._unthrottled(note, path)
            if fraction is None:
                self._restore(path, before)
                self._notes.lower(uid, None, {})
                return True
            throttled = replace(note, fraction=fraction)
            quota = self._throttled_us(throttled)
            # Noted first: what is lowered is never forgotten.
            self._notes.lower(uid, fraction, before)
            if note.fraction is not None and note.fraction < fraction:
                self._driver.set_quota(path, quota)
            lowered = [
                self._driver.set_quota(_join(path, inner), quota if had is None else min(had, quota))
                for inner, had in reversed(before.items())
                if inner == "." or had is not None
            ]
            return all(lowered)

    def _unthrottled(self, note: Note, path: str) -> dict[str, int | None]:
        """Return the quotas that a pod's groups have while it is not throttled, outer ones first."""
        found = {os.path.relpath(inner, path): quota for inner, quota in self._driver.quotas(path)}
        return {inner: note.lowered.get(inner, quota) for inner, quota in found.items()}

    def _restore(self, path: str, before: dict[str, int | None]) -> None:
        for inner, quota in before.items():
            self._driver.set_quota(_join(path, inner), quota)

    def _throttled_us(self, note: Note) -> int:
        limit = note.bounds.cpu_limit_m
        whole = quota_of(limit) if limit is not None else self._cpus * PERIOD_US
        return max(_LEAST_QUOTA_US, round(whole * (note.fraction or 1.0)))

    def throttled(self) -> frozenset[Uid]:
        """Return the pods that are throttled."""
        return frozenset(uid for uid, note in self._notes.held.items() if note.fraction is not None)

    def pause(self, uid: Uid) -> bool:
        """Stop a pod where it stands."""
        with self._lock:
            path = self._pod_path(uid)
            return path is not None and self._driver.freeze(path)

    def resume(self, uid: Uid) -> bool:
        """Let a pod go on."""
        with self._lock:
            path = self._pod_path(uid)
            return path is not None and self._driver.thaw(path)

    def is_paused(self, uid: Uid) -> bool:
        """Tell whether a pod is paused."""
        path = self._pod_path(uid)
        return path is not None and self._driver.is_frozen(path)

    def paused(self) -> frozenset[Uid]:
        """Return the pods that are paused."""
        return frozenset(uid for uid in self._notes.held if self.is_paused(uid))

    # --- measures -------------------------------------------------------------------------------------------------

    def usage(self, uid: Uid) -> PodUse | None:
        """Return what a pod uses."""
        path = self._pod_path(uid)
        return None if path is None else self._driver.usage(path)

    def oom_kills(self, uid: Uid) -> int:
        """Return how many of a pod's processes the kernel has killed for want of memory."""
        path = self._pod_path(uid)
        return 0 if path is None else self._driver.oom_kills(path)

    def room(self) -> PodsRoom | None:
        """Return how the group above all pods fares."""
        use = self._driver.usage("")
        if use is None:
            return None
        memory, pids = self._driver.limits("")
        return PodsRoom(use.memory_bytes, memory, use.pids, pids, self._driver.stalled(""))


def _join(path: str, inner: str) -> str:
    return path if inner == "." else f"{path}/{inner}"


def claim(folder: Path) -> int:
    """Lock a tree for this process, with which the lock ends; return a descriptor, or -1 where another has it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor


def remove_abandoned(driver: Driver) -> list[str]:
    """Remove the trees in a folder that no agent has and no process is in; return their names.

    Args:
        driver: Groups in the folder that contains the trees.
    """
    removed = []
    for name in driver.children(""):
        descriptor = claim(driver.places[0] / name)
        if descriptor < 0:
            continue
        try:
            if not driver.processes(name) and driver.remove(name):
                removed.append(name)
        finally:
            os.close(descriptor)
    return removed
