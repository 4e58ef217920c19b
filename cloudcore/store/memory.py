"""The memory engine: committed and uncommitted state apart, for tests and simulations under virtual time.

Contract. No threads and no files. A ``commit_gate`` is awaited on both sides of the moment at which a group reaches
the ``MemoryDisk``; a simulation waits, fails or crashes the store there. At most one task exists per store, it
belongs to the store, and it lives while a gated commit is under way.
"""

from __future__ import annotations

import asyncio
import enum
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cloudcore.store.base import Record
from cloudcore.store.engine import GroupCommitStore
from cloudcore.store.history import FIRST_REVISION, History
from cloudcore.store.ledger import Group
from cloudcore.store.settings import StoreSettings
from protocol.objects.keys import ObjectKey, Revision


class CommitStep(enum.Enum):
    """Where in a commit the gate stands."""

    WRITE = "write"
    """Nothing of the group is on disk yet. An ``OSError`` raised here fails the group."""
    PUBLISH = "publish"
    """The group is on disk; nobody has been told."""


CommitGate = Callable[[CommitStep], Awaitable[None]]


@dataclass(slots=True)
class MemoryDisk:
    """What survives a crash.

    Attributes:
        records: The objects.
        reserved: The high-water mark of revisions.
        incarnation: The database's id.
    """

    records: dict[ObjectKey, Record] = field(default_factory=dict)
    reserved: Revision = FIRST_REVISION
    incarnation: str = field(default_factory=lambda: str(uuid.uuid4()))

    def write(self, group: Group) -> None:
        """Apply ``group`` in one step."""
        for key in group.deletes:
            self.records.pop(key, None)
        self.records.update(group.puts)
        if group.reserve_to is not None:
            self.reserved = group.reserve_to


class MemoryStore(GroupCommitStore):
    """A store whose disk is a dict.

    Args:
        disk: The disk to open; a new, empty one by default.
        settings: The bounds.
        commit_gate: Awaited at each :class:`CommitStep` of each group that touches the disk.
    """

    def __init__(
        self,
        disk: MemoryDisk | None = None,
        *,
        settings: StoreSettings | None = None,
        commit_gate: CommitGate | None = None,
    ) -> None:
        self.disk = disk if disk is not None else MemoryDisk()
        records = self.disk.records.values()
        history = History(self.disk.reserved, settings or StoreSettings(), records)
        super().__init__(history, self.disk.reserved, self.disk.incarnation)
        self._settings = settings
        self._gate = commit_gate
        self._gated: asyncio.Task[None] | None = None
        self._crashed = False

    def crash(self) -> MemoryStore:
        """Lose what is not on disk and return the store that opens afterwards, with the same settings and gate.

        Waiting writers of this store get ``StorageUnavailable``, its watches end, later calls are refused.
        """
        self._closing = self._crashed = True
        if self._gated is not None:
            self._gated.cancel()
        self._ledger.abandon("the store crashed")
        self._end_watches()
        self._committing = False
        self._idle.set()
        return MemoryStore(self.disk, settings=self._settings, commit_gate=self._gate)

    def _flush(self, group: Group) -> None:
        if self._gate is None:
            self.disk.write(group)
            # Not in this call: a store that answered in the same step would hide its callers' races.
            asyncio.get_running_loop().call_soon(self._flushed_unless_crashed, group, None)
        else:
            commit = self._commit_gated(group, self._gate)
            self._gated = asyncio.get_running_loop().create_task(commit, name="memory-store-commit")

    async def _commit_gated(self, group: Group, gate: CommitGate) -> None:
        failure: str | None = None
        try:
            await gate(CommitStep.WRITE)
        except OSError as exc:
            failure = f"the disk failed: {exc}"
        if self._crashed:
            return
        if failure is None:
            self.disk.write(group)
            await gate(CommitStep.PUBLISH)
        self._gated = None
        self._flushed_unless_crashed(group, failure)

    def _flushed_unless_crashed(self, group: Group, failure: str | None) -> None:
        if not self._crashed:
            self._flushed(group, failure)

    async def _shut(self, last: Group) -> None:
        self.disk.write(last)
