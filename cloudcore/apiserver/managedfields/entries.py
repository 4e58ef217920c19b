"""The entries of ``metadata.managedFields``: one for each manager, operation, version and subresource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from cloudcore.apiserver.managedfields.fieldsets import FieldSet, is_field_set, union
from protocol.objects.keys import Body

Operation = Literal["Apply", "Update"]

MAX_UPDATERS: Final = 10
"""So many managers that update are kept apart; the oldest beyond that become one."""
_ANCIENT: Final = "ancient-changes"


@dataclass(frozen=True, slots=True)
class Entry:
    """One manager's share of an object.

    Attributes:
        manager: Its name: ``kubectl``, ``kubectl-edit``.
        operation: How it took its fields.
        api_version: The version its fields are written in.
        fields: The fields.
        time: When the share last changed.
        subresource: Through which subresource; empty for the object itself.
    """

    manager: str
    operation: Operation
    api_version: str
    fields: FieldSet
    time: str = ""
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells entries apart: an applier is the same one whatever version it speaks."""
        version = "" if self.operation == "Apply" else self.api_version
        return self.manager, self.operation, self.subresource, version

    def body(self) -> Body:
        """Return the entry as objects carry it."""
        body: Body = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields,
        }
        return {**body, "subresource": self.subresource} if self.subresource else body

    def described(self) -> str:
        """Return the manager as conflicts name it."""
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


def stored_entries(managed: Sequence[Body] | None) -> list[Entry]:
    """Read ``metadata.managedFields`` of a stored object, which :func:`write_entries` wrote."""
    return [
        Entry(
            item["manager"],
            item["operation"],
            item["apiVersion"],
            item["fieldsV1"],
            item["time"],
            item.get("subresource", ""),
        )
        for item in managed or ()
    ]


def read_entries(managed: object) -> list[Entry] | None:
    """Read the ``metadata.managedFields`` that a client sent; None where they cannot be read."""
    if not isinstance(managed, list):
        return None
    entries = [_read(item) for item in managed]
    return None if None in entries else [entry for entry in entries if entry is not None]


def _read(item: object) -> Entry | None:
    if not isinstance(item, dict) or item.get("operation") not in {"Apply", "Update"}:
        return None
    fields, texts = (
        item.get("fieldsV1"),
        [item.get(name) or "" for name in ("manager", "apiVersion", "time", "subresource")],
    )
    if (
        not is_field_set(fields)
        or item.get("fieldsType") != "FieldsV1"
        or not all(isinstance(text, str) for text in texts)
    ):
        return None
    manager, api_version, time, subresource = texts
    return Entry(manager, item["operation"], api_version, fields or {}, time, subresource)


def write_entries(entries: Iterable[Entry]) -> list[Body]:
    """Return entries as objects carry them: appliers first, then by age; of too many the oldest as one."""
    kept = sorted(_capped([entry for entry in entries if entry.fields]), key=_order)
    return [entry.body() for entry in kept]


def _order(entry: Entry) -> tuple[str, ...]:
    return entry.operation, entry.time, entry.manager, entry.api_version, entry.subresource


def _capped(entries: list[Entry]) -> list[Entry]:
    updaters = sorted((entry for entry in entries if entry.operation == "Update"), key=_order)
    surplus = updaters[: max(len(updaters) - MAX_UPDATERS + 1, 0)] if len(updaters) > MAX_UPDATERS else []
    if not surplus:
        return entries
    ancient: dict[str, Entry] = {}
    for entry in surplus:
        known = ancient.get(entry.api_version)
        fields = entry.fields if known is None else union(known.fields, entry.fields)
        ancient[entry.api_version] = replace(entry, manager=_ANCIENT, fields=fields, subresource="")
    return [*(entry for entry in entries if entry not in surplus), *ancient.values()]
