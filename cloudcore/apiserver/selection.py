"""Which objects a list or a watch selects: label and field selectors over encoded records.

Most records of a selective request can be told apart without decoding them: a value that must be there has to
stand in the record's bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.errors import BadRequest
from cloudcore.store.base import Record
from protocol.objects.keys import Body
from protocol.objects.selectors import Requirement, Selector, matches, parse_field_selector, parse_label_selector

_RECORDS_A_STEP = 500
_ALWAYS = {"metadata.name", "metadata.namespace"}


@dataclass(frozen=True, slots=True)
class Selection:
    """A parsed pair of selectors for one kind.

    Attributes:
        kind: The kind it selects from.
        name: The one name it can select; empty for any.
        labels: Conditions on the labels.
        fields: Conditions on the other fields.
        needles: Byte strings that every selected record contains.
    """

    kind: Kind
    name: str
    labels: Selector
    fields: Selector
    needles: tuple[bytes, ...]

    @property
    def is_everything(self) -> bool:
        """Whether it selects all objects."""
        return not (self.name or self.labels or self.fields)

    def selects(self, record: Record) -> bool:
        """Tell whether ``record`` is selected."""
        if self.name and record.key.name != self.name:
            return False
        if not (self.labels or self.fields):
            return True
        tail = record.tail
        for needle in self.needles:
            if needle not in tail:
                return False
        return self._selects_body(record.decode())

    def _selects_body(self, body: Body) -> bool:
        if self.labels and not matches(self.labels, body["metadata"].get("labels")):
            return False
        return all(item.matches({item.key: field_value(self.kind, body, item.key)}) for item in self.fields)


async def selected(selection: Selection, records: Sequence[Record], limit: int = 0) -> list[Record]:
    """Return the records that are selected, at most ``limit`` of them if it is not 0.

    Lets others run every so often: looking into ten thousand pods takes longer than one step of the loop may.
    """
    found: list[Record] = []
    for index, record in enumerate(records, 1):
        if selection.selects(record):
            found.append(record)
            if len(found) == limit:
                break
        if index % _RECORDS_A_STEP == 0:
            await asyncio.sleep(0)
    return found


def select(kind: Kind, label_selector: str = "", field_selector: str = "", name: str = "") -> Selection:
    """Parse selectors.

    Raises:
        BadRequest: A selector cannot be parsed, or names a field the kind does not select by.
    """
    try:
        labels = parse_label_selector(label_selector)
        fields = parse_field_selector(field_selector)
    except ValueError as error:
        raise BadRequest(str(error)) from error
    unknown = [item.key for item in fields if item.key not in _ALWAYS and item.key not in kind.fields]
    if unknown:
        raise BadRequest(f"field label not supported: {unknown[0]}")
    name = name or _the_name(fields)
    rest = tuple(item for item in fields if not (item.key == "metadata.name" and item.values == (name,)))
    return Selection(kind, name, labels, rest, tuple(filter(None, map(_needle, (*labels, *rest)))))


def _the_name(fields: Selector) -> str:
    return next((item.values[0] for item in fields if item.key == "metadata.name" and item.operator == "In"), "")


def _needle(requirement: Requirement) -> bytes:
    """Return bytes that stand in every object the requirement selects; empty where that cannot be said."""
    if requirement.operator != "In" or len(requirement.values) != 1:
        return b""
    value = requirement.values[0]
    plain = value.isascii() and value.isprintable() and '"' not in value and "\\" not in value
    # A number or a truth value may stand in the object without quotes.
    bare = value in {"", "true", "false"} or value.lstrip("-").isdigit()
    return f'"{value}"'.encode() if plain and not bare else b""


def field_value(kind: Kind, body: Body, path: str) -> str:
    """Return the value a field selector compares: text, with the kind's stand-in for an absent one."""
    node: Any = body
    for name in kind.aliases.get(path, path).split("."):
        node = node.get(name) if isinstance(node, dict) else None
    if path == "source" and isinstance(node, dict):
        node = node.get("component") or body.get("reportingComponent")
    if node is None:
        return kind.fields.get(path, "")
    return str(node).lower() if isinstance(node, bool) else str(node)
