"""An engine without a disk: for the simulation, which needs virtual time, and for tests.

It models what a disk does: a commit takes a moment, during which others gather into the next group, and a crash
loses whatever was not yet committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from edgecore.meta.base import StorageUnavailable
from edgecore.meta.engine import (
    Change,
    DropEvent,
    DropObject,
    DropReport,
    DropSettled,
    EventRow,
    FactRow,
    ObjectRow,
    ReportRow,
    SettledRow,
    Snapshot,
)
from protocol.objects.keys import ObjectKey


class MemoryDisk:
    """What survives a crash. Hand the same disk to the engine of the next life.

    Attributes:
        full: True makes every commit fail as on a full disk.
    """

    def __init__(self) -> None:
        self.full = False
        self.objects: dict[ObjectKey, ObjectRow] = {}
        self.reports: dict[ObjectKey, ReportRow] = {}
        self.events: dict[ObjectKey, EventRow] = {}
        self.settled: dict[str, SettledRow] = {}
        self.facts: dict[str, str] = {}

    def write(self, change: Change) -> None:
        """Carry out one row change."""
        match change:
            case ObjectRow():
                self.objects[change.key] = change
            case ReportRow():
                self.reports[change.key] = change
            case EventRow():
                self.events[change.key] = change
            case SettledRow():
                self.settled[change.id] = change
            case FactRow():
                self.facts[change.name] = change.value
            case DropObject():
                self.objects.pop(change.key, None)
            case DropReport():
                self.reports.pop(change.key, None)
            case DropEvent():
                self.events.pop(change.key, None)
            case DropSettled():
                self.settled.pop(change.id, None)


class MemoryEngine:
    """Rows in a :class:`MemoryDisk`, committed in groups on the loop's own clock.

    Args:
        disk: What is stored already and what outlives a crash.
        commit_s: How long a group takes to reach the disk, seconds; 0 takes one turn of the loop.
    """

    def __init__(self, disk: MemoryDisk | None = None, *, commit_s: float = 0.0) -> None:
        self.disk = disk if disk is not None else MemoryDisk()
        self._commit_s = commit_s
        self._queue: list[tuple[Sequence[Change], asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def load(self) -> Snapshot:
        """Return what is stored."""
        disk = self.disk
        return Snapshot(
            tuple(disk.objects.values()),
            tuple(disk.reports.values()),
            tuple(disk.events.values()),
            tuple(disk.settled.values()),
            dict(disk.facts),
        )

    async def commit(self, changes: Sequence[Change]) -> None:
        """Store ``changes`` with the group that is gathering."""
        if self._closed:
            raise StorageUnavailable("the meta store is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.append((changes, done))
        if self._timer is None:
            self._timer = loop.call_later(self._commit_s, self._flush)
        await done

    def _flush(self) -> None:
        self._timer = None
        group, self._queue = self._queue, []
        for changes, done in group:
            if self.disk.full:
                _fail(done, StorageUnavailable("the disk is full"))
                continue
            for change in changes:
                self.disk.write(change)
            if not done.done():
                done.set_result(None)

    def crash(self) -> None:
        """Lose what is not committed, as a power cut would; the engine is unusable afterwards."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for _, done in self._queue:
            _fail(done, StorageUnavailable("the device lost power"))
        self._queue = []

    async def close(self) -> None:
        """Commit what is queued."""
        if self._timer is not None:
            self._timer.cancel()
            self._flush()
        self._closed = True


def _fail(done: asyncio.Future[None], reason: StorageUnavailable) -> None:
    if not done.done():
        done.set_exception(reason)
