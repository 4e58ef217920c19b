"""Fields that a JSON text names more than once: its decoder keeps the last and says nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from cloudcore.apiserver.validation.strictness import Slip


class _Repeating(dict[str, Any]):
    """An object of which the text names fields more than once."""

    repeated: tuple[str, ...] = ()


def repetitions(data: bytes) -> list[Slip]:
    """Return the fields that a well-formed JSON text names more than once, outer objects first."""
    found = False

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        fields = dict(pairs)
        if len(fields) == len(pairs):
            return fields
        found = True
        repeating = _Repeating(fields)
        times = Counter(name for name, _ in pairs)
        repeating.repeated = tuple(name for name in fields if times[name] > 1)
        return repeating

    document = json.loads(data, object_pairs_hook=note)
    return [Slip(f'duplicate field "{path}"', path) for path in _paths(document, "")] if found else []


def _paths(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, _Repeating):
        yield from (f"{path}{name}" for name in node.repeated)
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _paths(value, f"{path}{name}.")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _paths(value, f"{path.removesuffix('.')}[{index}].")
