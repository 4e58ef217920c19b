"""Whether the rows of a database make sense. SQLite checks its own structure, and not what stands in a cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgpack

from edgecore.meta.engine import ObjectRow, Snapshot
from edgecore.meta.slice import UndecodableBody, decode

NUMBERS: Final = {"life": 1 << 30, "epoch": 1 << 63, "line": 1 << 62}
"""Facts that are whole numbers, and what they stay below."""
_LARGEST: Final = (1 << 63) - 1


def unsound(snapshot: Snapshot) -> str | None:
    """Return what is wrong with what was read, in a line; None where nothing is."""
    return next(_faults(snapshot), None)


def _faults(snapshot: Snapshot) -> Iterator[str]:
    for name, value in snapshot.facts.items():
        if not _are_texts(name, value):
            yield f"fact {name!r} is no text"
        elif name in NUMBERS and not (_is_decimal(value) and int(value) < NUMBERS[name]):
            yield f"fact {name} is {value[:40]!r}"
    for row in snapshot.objects:
        if fault := _object_fault(row):
            yield f"object {row.key}: {fault}"
    for report in snapshot.reports:
        if not _are_texts(*report.key, report.uid) or not _is_number(report.generation):
            yield f"the row of report {report.key} is not one"
        elif not _is_report(report.body):
            yield f"report {report.key} is no status"
    yield from _small_faults(snapshot)


def _small_faults(snapshot: Snapshot) -> Iterator[str]:
    for event in snapshot.events:
        if not _are_texts(*event.key) or not _is_number(event.generation) or not isinstance(event.body, bytes):
            yield f"the row of event {event.key} is not one"
    for settled in snapshot.settled:
        if not _are_texts(settled.id, settled.code, settled.reason):
            yield f"the row of command {settled.id!r} is not one"


def _object_fault(row: ObjectRow) -> str | None:
    numbers = _is_number(row.version) and _is_number(row.line)
    if not numbers or not _are_texts(*row.key, row.uid) or not isinstance(row.body, bytes):
        return "its row is not one"
    try:
        decode(row.body)
    except UndecodableBody as error:
        return str(error)
    return None


def _are_texts(*values: object) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _is_report(body: object) -> bool:
    """Tell whether a report's body can be read; that of a pod's end is empty."""
    if not isinstance(body, bytes):
        return False
    if not body:
        return True
    try:
        report = msgpack.unpackb(body, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        return False
    return isinstance(report, dict) and isinstance(report.get("status") or {}, dict)
