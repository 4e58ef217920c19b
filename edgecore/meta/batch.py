"""Judging one batch of items against what is held: verdicts, and the row changes that make them true."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from edgecore.meta.engine import Change, DropObject, DropSettled, FactRow, ObjectRow, SettledRow
from edgecore.meta.slice import Slice
from edgecore.meta.sync import Drop, Hold, Reject, on_delete, on_put
from protocol.messages import APPLIED, LATER, Item, Op, Verdict
from protocol.objects.keys import ObjectKey
from protocol.objects.resources import RESUME
from protocol.settings import MAX_INVENTORY, MAX_WINDOW_ITEMS

SLICE_LIMIT_BYTES: Final = 64 << 20
"""Encoded bytes of desired state a node holds at most; a put beyond it is rejected and shows in the cloud."""

SLICE_LIMIT_OBJECTS: Final = MAX_INVENTORY
"""Objects a node holds at most: the cloud reads no longer inventory."""

LEDGER_LIMIT: Final = MAX_WINDOW_ITEMS
"""Answers to commands that are remembered; the oldest is forgotten first. So many may have been answered when a
connection is cut, with all their acks lost: the cloud repeats them, and each must get its first answer."""


class Batch:
    """Collects the outcome of a batch. Changes nothing outside itself.

    Args:
        held: The slice as it is on disk.
        ledger: Answers to earlier commands, oldest first.
        line: The session's line.
        may_complete: Whether the end of the difference may be believed: nothing is waiting to be sent again.
        limit_bytes: Bound on what the slice may grow to.

    Attributes:
        overlay: What the batch leaves under each key it changed; None where it leaves nothing.
        settled: Commands it answered.
        completes: Whether the slice is complete with this batch.
    """

    def __init__(
        self,
        held: Slice,
        ledger: Mapping[str, SettledRow],
        *,
        line: int,
        may_complete: bool,
        limit_bytes: int = SLICE_LIMIT_BYTES,
    ) -> None:
        self._held = held
        self._ledger = ledger
        self._line = line
        self._may_complete = may_complete
        self._room_bytes = limit_bytes - held.size_bytes
        self._room_objects = SLICE_LIMIT_OBJECTS - len(held)
        self.overlay: dict[ObjectKey, ObjectRow | None] = {}
        self.settled: dict[str, SettledRow] = {}
        self.completes = False

    def judge(self, item: Item) -> Verdict:
        """Decide on one item, given the ones before it."""
        if item.op is Op.COMMAND:
            return self._command(item)
        key = item.key
        current = self.overlay[key] if key in self.overlay else self._held.row(key)
        if item.op is Op.DELETE:
            decision = on_delete(current, item.uid)
        else:
            decision = on_put(current, ObjectRow(key, item.uid, item.version, item.body, self._line))
        match decision:
            case Reject(code, reason):
                return Verdict.rejected(code, reason)
            case Hold(row):
                return self._leave(key, current, row)
            case Drop():
                return self._leave(key, current, None)
        return APPLIED

    def _leave(self, key: ObjectKey, current: ObjectRow | None, row: ObjectRow | None) -> Verdict:
        growth = (len(row.body) if row else 0) - (len(current.body) if current else 0)
        if growth > 0 and growth > self._room_bytes:
            return Verdict.rejected("SliceFull", "the node holds as much desired state as it may")
        more = (row is not None) - (current is not None)
        if more > self._room_objects:
            return Verdict.rejected("SliceFull", "the node holds as many objects as it may")
        self._room_objects -= more
        self._room_bytes -= growth
        self.overlay[key] = row
        return APPLIED

    def _command(self, item: Item) -> Verdict:
        known = self.settled.get(item.id) or self._ledger.get(item.id)
        if known is not None:
            return Verdict.rejected(known.code, known.reason) if known.code else APPLIED
        if item.key.resource == RESUME:
            if not self._may_complete:
                return LATER
            self.completes = True
            self.settled[item.id] = SettledRow(item.id, "", "")
            return APPLIED
        verdict = Verdict.rejected("UnknownCommand", f"this agent knows no command {item.key.resource!r}")
        self.settled[item.id] = SettledRow(item.id, verdict.code, verdict.reason)
        return verdict

    def changes(self) -> list[Change]:
        """Return the row changes to commit."""
        changes: list[Change] = [
            row if row is not None else DropObject(key)
            for key, row in self.overlay.items()
            if row is not None or self._held.row(key) is not None
        ]
        changes += self.settled.values()
        beyond = max(0, len(self._ledger) + len(self.settled) - LEDGER_LIMIT)
        changes += [DropSettled(id_) for id_, _ in zip(chain(self._ledger, self.settled), range(beyond), strict=False)]
        if self.completes:
            changes.append(FactRow("complete", "yes"))
        return changes
