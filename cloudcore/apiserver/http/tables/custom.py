"""``kubectl get`` of custom kinds: the columns their definitions name, and of the definitions themselves.

Source: Kubernetes ``apiextensions-apiserver/pkg/registry/customresource/tableconvertor``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from cloudcore.apiserver.custom.jsonpath import JsonPath, parse
from cloudcore.apiserver.http.tables.durations import human_duration, seconds_since
from cloudcore.apiserver.http.tables.printers import NAME, Cells, Column, Printer, printer
from protocol.objects.keys import Body
from protocol.objects.resources import DEFINITIONS

_AGE: Final = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Age"}


@printer(DEFINITIONS, NAME, Column("Created At", "date", description="When the definition was created."))
def definition_cells(body: Body, _now: float) -> Cells:
    """Return a CustomResourceDefinition's row."""
    return [body["metadata"]["name"], body["metadata"].get("creationTimestamp", "")]


def custom_printer(columns: Sequence[Mapping[str, Any]]) -> Printer:
    """Return the printer of a custom kind: the name, then its columns, or the age where it has none."""
    given = list(columns) or [_AGE]
    paths = [(parse(column["jsonPath"]), str(column["type"])) for column in given]

    def cells(body: Body, now: float) -> Cells:
        return [body["metadata"]["name"], *(_cell(path, kind, body, now) for path, kind in paths)]

    return Printer((NAME, *map(_column, given)), cells)


def _column(column: Mapping[str, Any]) -> Column:
    return Column(
        column["name"],
        column["type"],
        column.get("priority", 0),
        column.get("format", ""),
        column.get("description") or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
    )


def _cell(path: JsonPath, kind: str, body: Body, now: float) -> Any:
    """Return a cell; None, shown as nothing, where the path leads to no value of the column's type."""
    value = path.first(body)
    match kind:
        case "string":
            return None if value is None else _text(value)
        case "date" if isinstance(value, str):
            seconds = seconds_since(value, now)
            return "<invalid>" if seconds is None else human_duration(seconds)
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
