"""Every report of every device, in order: a bounded ring in SQLite.

Concurrency contract. Callers of :meth:`ReportLog.append` wait; one task (:meth:`ReportLog.run`) takes all that wait and
writes them in one transaction on a thread, so that many nodes share one flush. What waits is bounded by the hub: a
node has a window's worth of items under way. Reads are on a connection of their own, and see committed rows only.
When the ring is full the oldest reports go: first those of a device that has more than its share, then any.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from cloudcore.errors import StorageUnavailable
from protocol.objects.devices import Report
from protocol.objects.keys import NodeName

log = structlog.get_logger(__name__)

DATABASE: Final = "devices.db"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS reports (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    node TEXT NOT NULL,
    number INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    device TEXT NOT NULL,
    property TEXT NOT NULL,
    value TEXT NOT NULL,
    at_ms INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS once ON reports (node, number, at_ms);
CREATE INDEX IF NOT EXISTS of_device ON reports (namespace, device, seq);
CREATE TABLE IF NOT EXISTS dropped (
    namespace TEXT NOT NULL,
    device TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (namespace, device)
) WITHOUT ROWID;
"""
_INSERT: Final = """
INSERT OR IGNORE INTO reports (node, number, namespace, device, property, value, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
RETURNING namespace, device
"""
_DROP_OF_DEVICE: Final = """
DELETE FROM reports WHERE seq IN (SELECT seq FROM reports WHERE namespace = ? AND device = ? ORDER BY seq LIMIT ?)
RETURNING namespace, device
"""
_DROP_OLDEST: Final = """
DELETE FROM reports WHERE seq IN (SELECT seq FROM reports ORDER BY seq LIMIT ?) RETURNING namespace, device
"""
_COUNT_DROPPED: Final = """
INSERT INTO dropped VALUES (?, ?, ?) ON CONFLICT (namespace, device) DO UPDATE SET count = count + excluded.count
"""

_CLOSING: Final = StorageUnavailable("the log of device reports is closing")

DeviceKey = tuple[str, str]
"""Namespace and name of a Device."""


@dataclass(frozen=True, slots=True)
class RingLimits:
    """Bounds of the ring.

    Attributes:
        reports: Reports held in all; about 150 bytes each on disk.
        of_device: Reports held of one device.
    """

    reports: int = 1_000_000
    of_device: int = 10_000


@dataclass(frozen=True, slots=True)
class Past:
    """One report of the past.

    Attributes:
        property: Of which property.
        value: What was reported.
        at_ms: When, milliseconds since the epoch on the edge's clock.
        node: Which node the device was on.
    """

    property: str
    value: str
    at_ms: int
    node: str


@dataclass(slots=True)
class _Waiting:
    rows: Sequence[tuple[str, int, str, str, str, str, int]]
    done: asyncio.Future[None]


class ReportLog:
    """The ring. Made by opening it; :meth:`run` closes it.

    Args:
        folder: Where its file is.
        limits: Its bounds.

    Raises:
        sqlite3.Error: The file cannot be used.
    """

    def __init__(self, folder: Path, limits: RingLimits | None = None) -> None:
        self._limits = limits or RingLimits()
        self._lock = threading.Lock()
        self._writer = sqlite3.connect(folder / DATABASE, check_same_thread=False, isolation_level=None)
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        self._writer.executescript(_SCHEMA)
        self._reader = sqlite3.connect(folder / DATABASE)
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._closed = False
        self.held: Counter[DeviceKey] = Counter()
        """Reports held, by device."""
        self.dropped: Counter[DeviceKey] = Counter()
        """Reports dropped for want of room, by device, since the file was made."""
        self.held.update(self._counts("SELECT namespace, device, COUNT(*) FROM reports GROUP BY namespace, device"))
        self.dropped.update(self._counts("SELECT namespace, device, count FROM dropped"))

    def _counts(self, statement: str) -> dict[DeviceKey, int]:
        return {(namespace, device): count for namespace, device, count in self._writer.execute(statement)}

    async def append(self, node: NodeName, reports: Sequence[Report]) -> None:
        """Keep ``reports``; returns once they are on disk. A repeat changes nothing.

        Raises:
            StorageUnavailable: They are not; the node is to send them again.
        """
        if self._closed:
            raise _CLOSING
        rows = [(node, r.number, r.namespace, r.device, r.property, r.value, r.at_ms) for r in reports]
        waiting = _Waiting(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        await waiting.done

    def history(self, namespace: str, device: str, limit: int) -> list[Past]:
        """Return the newest ``limit`` reports of a device, oldest first. Takes about a microsecond for each."""
        rows = self._reader.execute(
            "SELECT property, value, at_ms, node FROM reports WHERE namespace = ? AND device = ?"
            " ORDER BY seq DESC LIMIT ?",
            (namespace, device, limit),
        ).fetchall()
        return [Past(*row) for row in reversed(rows)]

    async def run(self) -> None:
        """Write what waits, until cancelled; then close the file."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        finally:
            self._closed = True
            for waiting in self._waiting:
                if not waiting.done.done():
                    waiting.done.set_exception(_CLOSING)
            with self._lock:  # a thread may be in its transaction still
                self._reader.close()
                self._writer.close()

    async def _write(self, batch: list[_Waiting]) -> None:
        failure: Exception | None = _CLOSING
        try:
            await asyncio.to_thread(self._commit, batch)
            failure = None
        except sqlite3.Error as error:
            log.error("device reports cannot be kept", cause=str(error))
            failure = StorageUnavailable(f"device reports cannot be kept: {error}")
        finally:
            for waiting in batch:
                if waiting.done.done():
                    continue  # its session has ended
                if failure is None:
                    waiting.done.set_result(None)
                else:
                    waiting.done.set_exception(failure)

    def _commit(self, batch: list[_Waiting]) -> None:
        with self._lock:
            writer = self._writer
            writer.execute("BEGIN IMMEDIATE")
            try:
                added = Counter(
                    device for waiting in batch for row in waiting.rows for device in writer.execute(_INSERT, row)
                )
                held = self.held + added
                gone = self._make_room(held, added)
                writer.executemany(_COUNT_DROPPED, [(*device, count) for device, count in gone.items()])
                writer.execute("COMMIT")
            except BaseException:
                writer.execute("ROLLBACK")
                raise
        self.held, self.dropped = held - gone, self.dropped + gone

    def _make_room(self, held: Counter[DeviceKey], added: Counter[DeviceKey]) -> Counter[DeviceKey]:
        """Drop what the ring has no room for, and return how much of which device."""
        gone: Counter[DeviceKey] = Counter()
        for device in added:
            excess = held[device] - self._limits.of_device
            if excess > 0:
                gone.update(self._writer.execute(_DROP_OF_DEVICE, (*device, excess)).fetchall())
        excess = held.total() - gone.total() - self._limits.reports
        if excess > 0:
            gone.update(self._writer.execute(_DROP_OLDEST, (excess,)).fetchall())
        return gone
