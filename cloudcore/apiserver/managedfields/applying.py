"""Server-side apply of one configuration to one object: merge, prune, conflicts, and who owns what afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from cloudcore.apiserver.kinds import KindTable
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.managedfields.comparing import applied_fields, created_fields
from cloudcore.apiserver.managedfields.entries import Entry, stored_entries, write_entries
from cloudcore.apiserver.managedfields.fieldsets import FieldSet, intersection, paths, union
from cloudcore.apiserver.managedfields.merging import merge, prune, without_nulls
from cloudcore.apiserver.managedfields.shapes import shape_of
from cloudcore.apiserver.managedfields.tracking import FIELD, Comparisons, lose, only_status, without_status
from cloudcore.errors import BadRequest, Cause, Conflict
from protocol.objects.keys import Body
from protocol.objects.wellknown import LAST_APPLIED

BEFORE_FIRST_APPLY: Final = "before-first-apply"


@dataclass(frozen=True, slots=True)
class Application:
    """Something to apply.

    Attributes:
        kind: The row of the version it is written in.
        config: What its manager states, nulls left out.
        manager: Who states it.
        force: Whether to take fields from others where they state something else.
        now: The present time.
        subresource: Through which subresource; empty for the object itself.
    """

    kind: Kind
    config: Body
    manager: str
    force: bool
    now: str
    subresource: str = ""

    @property
    def fields(self) -> FieldSet:
        """The fields that the manager states; those that this way of writing cannot change are left out.

        Raises:
            BadRequest: The schema does not have one of them.
        """
        fields = applied_fields(self.config, shape_of(self.kind))
        if self.subresource == "status":
            return only_status(fields)
        return without_status(self.kind.stored, fields)

    def entry(self, fields: FieldSet) -> Entry:
        """Return the manager's entry with ``fields``."""
        return Entry(self.manager, "Apply", self.kind.api_version, fields, self.now, self.subresource)


def application(kind: Kind, config: Body, manager: str, *, force: bool, now: str, subresource: str = "") -> Application:
    """Return something to apply.

    Raises:
        BadRequest: It carries ``managedFields``.
    """
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and metadata.get(FIELD):
        raise BadRequest("metadata.managedFields must be nil")
    return Application(kind, without_nulls(config), manager, force, now, subresource)


def applied_creation(asked: Application) -> Body:
    """Return the object that applying to nothing makes.

    Raises:
        BadRequest: The schema does not have one of the fields.
    """
    entry = asked.entry(asked.fields)
    return {**asked.config, "metadata": {**(asked.config.get("metadata") or {}), FIELD: write_entries([entry])}}


def applied_change(asked: Application, live: Body, kinds: KindTable) -> Body:
    """Return ``live`` (in the version of ``asked``) with the configuration applied, ``managedFields`` included.

    Raises:
        BadRequest: The schema does not have one of the fields.
        Conflict: Others own fields that it would change; the causes name them.
    """
    kind, shape = asked.kind, shape_of(asked.kind)
    entries = stored_entries(live["metadata"].get(FIELD)) or _owners_so_far(asked, live)
    mine = asked.entry(asked.fields)
    last = next((entry for entry in entries if entry.identity == mine.identity), None)
    others = [entry for entry in entries if entry is not last]
    merged = merge(live, asked.config, shape)
    if last is not None and last.api_version == kind.api_version:
        kept = mine.fields
        for entry in others:
            kept = union(kept, entry.fields if entry.api_version == kind.api_version else {})
        merged = prune(merged, last.fields, kept, shape)
    comparisons = Comparisons(kinds, kind.stored, *(_inward(kind, body) for body in (live, merged)))
    if not asked.force:
        _refuse_conflicts(others, comparisons)
    if last is not None and last.fields == mine.fields and not _changes(comparisons, kind):
        mine = last  # nothing new is said: the time stays
    managed = write_entries([*lose(others, comparisons), mine])
    return _renoted(asked, {**merged, "metadata": {**merged["metadata"], FIELD: managed}})


def _changes(comparisons: Comparisons, kind: Kind) -> bool:
    comparison = comparisons.of(kind.api_version)
    return comparison is not None and bool(comparison.written or comparison.removed)


def _inward(kind: Kind, body: Body) -> Body:
    return body if kind.conversion is None else kind.conversion.inward(body)


def _owners_so_far(asked: Application, live: Body) -> list[Entry]:
    """Return the entry of an object that nobody was noted for: whoever made it owns all of it."""
    fields = without_status(asked.kind.stored, created_fields(live, shape_of(asked.kind)))
    return [Entry(BEFORE_FIRST_APPLY, "Update", asked.kind.api_version, fields, asked.now)]


def _renoted(asked: Application, merged: Body) -> Body:
    """Keep the note of client-side apply up to date, so that a person may go back to it."""
    annotations = merged["metadata"].get("annotations") or {}
    if asked.manager != "kubectl" or LAST_APPLIED not in annotations or asked.subresource:
        return merged
    note = _as_client_side_apply_writes(asked.config)
    return {**merged, "metadata": {**merged["metadata"], "annotations": {**annotations, LAST_APPLIED: note}}}


def _as_client_side_apply_writes(config: Body) -> str:
    metadata = config.get("metadata") or {}
    noted = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != LAST_APPLIED}
    plain = {**config, "metadata": {**metadata, "annotations": noted}}
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode() + "\n"


def _refuse_conflicts(others: Sequence[Entry], comparisons: Comparisons) -> None:
    found: list[tuple[str, str]] = []
    for entry in others:
        comparison = comparisons.of(entry.api_version)
        if comparison is not None:
            contested = intersection(entry.fields, comparison.written)
            found += [(entry.described(), path) for path in paths(contested)]
    if not found:
        return
    causes = [Cause("FieldManagerConflict", f"conflict with {manager}", path) for manager, path in found]
    raise Conflict(f"Apply failed with {_listed(found)}", causes=causes)


def _listed(found: Sequence[tuple[str, str]]) -> str:
    if len(found) == 1:
        manager, path = found[0]
        return f"1 conflict: conflict with {manager}: {path}"
    by_manager: dict[str, list[str]] = {}
    for manager, path in sorted(found):
        by_manager.setdefault(manager, []).append(f"- {path}")
    parts = [f"conflicts with {manager}:\n" + "\n".join(listed) for manager, listed in by_manager.items()]
    return f"{len(found)} conflicts: " + "\n".join(parts)
