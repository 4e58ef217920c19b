"""Pruning and defaulting of custom objects by their structural schema.

Source: Kubernetes "Extend the API with CustomResourceDefinitions", sections on pruning and defaulting.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from protocol.objects.keys import Body

Schema = Mapping[str, Any]

_OF_RESOURCES: Final = frozenset({"apiVersion", "kind", "metadata"})
_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED: Final = "x-kubernetes-embedded-resource"


def prune(schema: Schema, body: Body) -> list[str]:
    """Drop from a custom object what its schema does not know, in place.

    Metadata is not looked into: it has a schema of its own.

    Returns:
        The paths of the dropped fields.
    """
    return list(_prune_object(schema, body, "", resource=True))


def _prune(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _prune_object(schema, value, path, resource=bool(schema.get(_EMBEDDED)))
    elif isinstance(value, list):
        items = schema.get("items") or {}
        for index, item in enumerate(value):
            yield from _prune(items, item, f"{path}[{index}]")


def _prune_object(schema: Schema, value: Body, path: str, *, resource: bool) -> Iterator[str]:
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    for name in list(value):
        below = f"{path}.{name}" if path else name
        if resource and name in _OF_RESOURCES:
            continue
        if name in properties:
            yield from _prune(properties[name], value[name], below)
        elif isinstance(additional, dict):
            yield from _prune(additional, value[name], below)
        elif not additional and not schema.get(_PRESERVE):
            del value[name]
            yield below


def defaults_of(schema: Schema) -> Schema | None:
    """Return the part of ``schema`` that defaulting needs: the ways to its defaults; None where it has none."""
    part: dict[str, Any] = {key: schema[key] for key in ("default", "nullable") if key in schema}
    below = {name: defaults_of(each) for name, each in (schema.get("properties") or {}).items()}
    found = {name: each for name, each in below.items() if each is not None}
    if found:
        part["properties"] = found
    for word in ("items", "additionalProperties"):
        each = schema.get(word)
        reduced = defaults_of(each) if isinstance(each, dict) else None
        if reduced is not None:
            part[word] = reduced
    return part if part.keys() - {"nullable"} else None


def apply_defaults(defaults: Schema | None, value: Any) -> None:
    """Fill in what is absent, or null where it may not be.

    Args:
        defaults: From :func:`defaults_of`.
        value: Changed in place.
    """
    if defaults is None:
        return
    if isinstance(value, list):
        for item in value:
            apply_defaults(defaults.get("items"), item)
    elif isinstance(value, dict):
        for name, each in (defaults.get("properties") or {}).items():
            absent = value.get(name) is None and not (name in value and each.get("nullable"))
            if absent and "default" in each:
                value[name] = copy.deepcopy(each["default"])
            if name in value:
                apply_defaults(each, value[name])
        for item in value.values() if "additionalProperties" in defaults else ():
            apply_defaults(defaults["additionalProperties"], item)
