"""Noting who changed which field when an object is written other than by apply.

An object is followed from its creation by a client, or from the first time something is applied to it. The cloud's
own parts are not noted where they create, nor where they report a status: see
``docs/decisions/2026-11-23-managed-fields.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cloudcore.apiserver.context import Context, Target
from cloudcore.apiserver.kinds import KindTable
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.managedfields.comparing import Comparison, compare, created_fields
from cloudcore.apiserver.managedfields.entries import Entry, read_entries, stored_entries, write_entries
from cloudcore.apiserver.managedfields.fieldsets import FieldSet, difference, union
from cloudcore.apiserver.managedfields.shapes import shape_of
from cloudcore.apiserver.versions import spoken
from protocol.objects.keys import Body

FIELD: Final = "managedFields"
_STATUS: Final = "f:status"


class Comparisons:
    """What a write changed, in whichever version a manager's fields are written in.

    Args:
        kinds: The table of kinds.
        kind: The row under which the object is kept.
        old: The object before, as kept.
        new: The object after, as kept.
    """

    def __init__(self, kinds: KindTable, kind: Kind, old: Body, new: Body) -> None:
        self._kinds = kinds
        self._kind = kind
        self._old = old
        self._new = new
        self._made: dict[str, Comparison | None] = {}

    def of(self, api_version: str) -> Comparison | None:
        """Return what changed in a version's terms; None where the version is not served (any more)."""
        if api_version not in self._made:
            self._made[api_version] = self._compare(api_version)
        return self._made[api_version]

    def _compare(self, api_version: str) -> Comparison | None:
        if api_version == self._kind.api_version:
            return compare(self._old, self._new, shape_of(self._kind))
        row = self._kinds.served(api_version, self._kind.kind)
        if row is None or row.conversion is None or row.stored is not self._kind:
            return None
        outward = row.conversion.outward
        return compare(outward(self._old), outward(self._new), shape_of(row))


def note_creation(target: Target, body: Body, context: Context, now: str) -> None:
    """Note in a new object, defaults filled in, who created it."""
    if not context.field_manager:
        return
    kind = spoken(target)
    shown = body if kind.conversion is None else kind.conversion.outward(body)
    fields = without_status(kind.stored, created_fields(shown, shape_of(kind)))
    entry = Entry(context.field_manager, "Update", kind.api_version, fields, now)
    if fields:
        body["metadata"][FIELD] = write_entries([entry])


def without_status(kind: Kind, fields: FieldSet) -> FieldSet:
    """Return fields without those that only the status subresource writes, where the kind has one."""
    return {step: node for step, node in fields.items() if step != _STATUS} if kind.status else fields


def only_status(fields: FieldSet) -> FieldSet:
    """Return the fields that the status subresource writes."""
    return {step: node for step, node in fields.items() if step == _STATUS}


def is_noted(context: Context, *, status_only: bool) -> bool:
    """Tell whether a change is noted: clients' are, and the cloud's own but for its reports of statuses."""
    return bool(context.field_manager) or not status_only


def note_update(
    kinds: KindTable, target: Target, old: Body, body: Body, context: Context, *, given: object, now: str
) -> None:
    """Note in a changed object, in its final form, who changed what; ``body["metadata"]`` is the caller's own.

    Args:
        kinds: The table of kinds.
        target: What was changed.
        old: The object before.
        body: The object after.
        context: Who changed it.
        given: The ``managedFields`` that the client sent: an empty entry ends the noting, others stand for the stored.
        now: The present time.
    """
    metadata: Body = body["metadata"]
    metadata.pop(FIELD, None)
    before = old["metadata"].get(FIELD)
    if given == [{}] and not target.subresource:
        return
    entries = (read_entries(given) if given != before and not target.subresource else None) or stored_entries(before)
    if not entries:
        return
    comparisons = Comparisons(kinds, target.kind, old, body)
    metadata[FIELD] = write_entries(_settled(entries, comparisons, _writer(target, context, now)))


def _writer(target: Target, context: Context, now: str) -> Entry:
    """Return the entry of who writes, with no fields yet."""
    manager = context.field_manager or context.user.removeprefix("system:")
    return Entry(manager, "Update", spoken(target).api_version, {}, now, target.subresource)


def _settled(entries: list[Entry], comparisons: Comparisons, writer: Entry) -> list[Entry]:
    """Return the entries after a write: what was written is the writer's, what was removed nobody's."""
    kept: Mapping[tuple[str, ...], Entry] = {entry.identity: entry for entry in lose(entries, comparisons)}
    comparison = comparisons.of(writer.api_version)
    taken = comparison.written if comparison is not None else {}
    if not taken:
        return list(kept.values())
    mine = kept.get(writer.identity)
    fields = taken if mine is None else union(mine.fields, taken)
    return [*(entry for entry in kept.values() if entry is not mine), replace(writer, fields=fields)]


def lose(entries: list[Entry], comparisons: Comparisons) -> list[Entry]:
    """Return the entries without the fields that were written or removed; of versions not served, without anything."""
    left = []
    for entry in entries:
        comparison = comparisons.of(entry.api_version)
        if comparison is not None:
            fields = difference(difference(entry.fields, comparison.written), comparison.removed)
            left.append(entry if fields is entry.fields else replace(entry, fields=fields))
    return [entry for entry in left if entry.fields]


def is_same_but_for_times(one: Body, other: Body) -> bool:
    """Tell whether two objects, in their final form, differ at most in when their managers last changed something.

    An applied list without parts of its own looks changed until defaults have filled its elements again.
    """
    return _timeless(one) == _timeless(other)


def _timeless(body: Body) -> Body:
    metadata = body["metadata"]
    managed = [{**entry, "time": ""} for entry in metadata.get(FIELD) or ()]
    return {**body, "metadata": {**metadata, FIELD: managed}}
