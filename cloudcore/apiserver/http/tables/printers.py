"""Printers: how one kind becomes a row, and how rows become a ``Table``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cloudcore.apiserver.http.tables.durations import age
from protocol.objects.keys import Body

Cells = list[Any]
RowOf = Callable[[Body, float], Cells]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: The heading.
        type: ``string``, ``integer``, ``number``, ``boolean`` or ``date``.
        priority: 0 always shown, 1 with ``-o wide`` only.
        format: OpenAPI format; ``name`` marks the column that holds the object's name.
        description: What the column says.
    """

    name: str
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""

    def definition(self) -> dict[str, Any]:
        """Return the column as a Table's ``columnDefinitions`` entry."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description or self.name,
            "priority": self.priority,
        }


NAME = Column("Name", format="name", description="Name must be unique within a namespace.")
AGE = Column("Age", description="The time since the object was created.")


def wide(name: str) -> Column:
    """Return a text column that only ``-o wide`` shows."""
    return Column(name, priority=1)


@dataclass(frozen=True, slots=True)
class Printer:
    """How a kind is shown.

    Attributes:
        columns: The columns, in order.
        cells: Returns the cells of an object at Unix time ``now``, one per column.
    """

    columns: tuple[Column, ...]
    cells: RowOf


_PRINTERS: dict[str, Printer] = {}


def printer(resource: str, *columns: Column) -> Callable[[RowOf], RowOf]:
    """Register the decorated function as the printer of the group-resource ``resource``."""

    def register(cells: RowOf) -> RowOf:
        _PRINTERS[resource] = Printer(columns, cells)
        return cells

    return register


def _name_and_age(body: Body, now: float) -> Cells:
    return [body["metadata"]["name"], created(body, now)]


_DEFAULT = Printer((NAME, AGE), _name_and_age)


def printer_for(resource: str) -> Printer:
    """Return the printer of a group-resource; name and age where it has none of its own."""
    return _PRINTERS.get(resource, _DEFAULT)


def created(body: Body, now: float) -> str:
    """Return the object's age as kubectl shows it."""
    return age(body["metadata"].get("creationTimestamp"), now)


def at(body: Body, *path: str) -> Any:
    """Return the value at ``path``, None where a step is missing or null."""
    value: Any = body
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def joined(values: Iterable[str]) -> str:
    """Return ``values`` with commas, ``<none>`` where there are none."""
    return ",".join(values) or "<none>"


def labels_text(labels: Any) -> str:
    """Return a map of labels as ``a=1,b=2``, ``<none>`` where it is empty."""
    return joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def partial_metadata(body: Body, version: str = "v1") -> Body:
    """Return the object's ``PartialObjectMetadata``."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": body.get("metadata", {}),
    }


def _embedded(body: Body, include_object: str, version: str) -> Body | None:
    if include_object == "Object":
        return body
    return None if include_object == "None" else partial_metadata(body, version)


def column_definitions(shown_by: Printer | str) -> list[dict[str, Any]]:
    """Return the ``columnDefinitions`` of a Table; ``shown_by`` is its printer, or the group-resource that has one."""
    return [column.definition() for column in _the_printer(shown_by).columns]


def _the_printer(shown_by: Printer | str) -> Printer:
    return shown_by if isinstance(shown_by, Printer) else printer_for(shown_by)


def row(
    shown_by: Printer | str, body: Body, *, now: float, include_object: str = "Metadata", version: str = "v1"
) -> Body:
    """Return an object's row.

    Args:
        shown_by: Its printer, or the group-resource that has one.
        body: The object.
        now: Unix time, for ages.
        include_object: What the row carries of the object: ``None``, ``Metadata`` or ``Object``.
        version: The version of ``meta.k8s.io``.
    """
    return {
        "cells": _the_printer(shown_by).cells(body, now),
        "object": _embedded(body, include_object, version),
    }
