"""The rules of a structural schema: what makes pruning and defaulting by it unambiguous.

Source: Kubernetes ``apiextensions-apiserver/pkg/apiserver/schema/validation.go`` and KEP-1979.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import jsonschema_rs

from cloudcore.apiserver.custom.keywords import misshapen
from cloudcore.apiserver.validation.fields import forbidden, invalid, not_supported, required
from cloudcore.errors import Cause

Schema = Mapping[str, Any]

_TYPES: Final = frozenset({"array", "boolean", "integer", "number", "object", "string"})
_UNSUPPORTED: Final = ("$ref", "additionalItems", "definitions", "dependencies", "id", "patternProperties")
_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]
_LEVEL_WORDS: Final = {
    "root": "at the root",
    "item": "for specified array items",
    "field": "for specified object fields",
}
_EMPTY_WHEN_NESTED: Final = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "externalDocs": "must be undefined to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
    "x-kubernetes-validations": "must be empty to be structural",
}
DEEPEST: Final = 64
"""Levels a schema may have; what walks schemas and objects by them is bounded by this."""


def check_structural(schema: Schema, path: str) -> list[Cause]:
    """Return what keeps ``schema`` from being structural.

    Args:
        schema: The root of a version's schema.
        path: Its field path in the CustomResourceDefinition.
    """
    return list(_check(schema, path, "root", 0))


def _check(schema: Any, path: str, level: str, depth: int) -> Iterator[Cause]:
    if not isinstance(schema, dict):
        yield invalid(path, schema, "must be a schema")
        return
    if depth > DEEPEST:
        yield forbidden(path, f"must not be nested deeper than {DEEPEST} levels")
        return
    wrong = misshapen(schema, path)
    if wrong:
        yield from wrong
        return
    yield from _check_generic(schema, path, level)
    yield from _check_extensions(schema, path)
    yield from _check_metadata(schema, path, level)
    yield from _check_values(schema, path, depth)
    yield from _check_below(schema, path, level, depth)


def _check_generic(schema: Schema, path: str, level: str) -> Iterator[Cause]:
    for name in _UNSUPPORTED:
        if name in schema:
            yield forbidden(f"{path}.{name}", f"{name} is not supported")
    kind = schema.get("type", "")
    if kind and kind not in _TYPES:
        yield not_supported(f"{path}.type", kind, _TYPES)
    untyped = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("x-kubernetes-embedded-resource") and kind != "object":
        yield required(f"{path}.type", "must be object if x-kubernetes-embedded-resource is true")
    elif not kind and not untyped:
        yield required(f"{path}.type", f"must not be empty {_LEVEL_WORDS[level]}")
    if level == "root" and kind not in {"", "object"}:
        yield invalid(f"{path}.type", kind, "must be object at the root")
    if kind == "array" and "items" not in schema:
        yield required(f"{path}.items", "must be specified")
    if schema.get("uniqueItems"):
        yield forbidden(
            f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        )


def _check_extensions(schema: Schema, path: str) -> Iterator[Cause]:
    if schema.get("x-kubernetes-int-or-string"):
        for name in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
            if schema.get(name):
                yield invalid(f"{path}.{name}", True, "must be false if x-kubernetes-int-or-string is true")
    if "x-kubernetes-preserve-unknown-fields" in schema and not schema["x-kubernetes-preserve-unknown-fields"]:
        yield invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    list_type, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    if list_type is not None and list_type not in {"atomic", "map", "set"}:
        yield not_supported(f"{path}.x-kubernetes-list-type", list_type, ("atomic", "map", "set"))
    if list_type is not None and schema.get("type") != "array":
        yield invalid(f"{path}.type", schema.get("type", ""), "must be array if x-kubernetes-list-type is specified")
    if keys and list_type != "map":
        yield invalid(
            f"{path}.x-kubernetes-list-type", list_type, "must be map if x-kubernetes-list-map-keys is non-empty"
        )
    if list_type == "map":
        yield from _check_map_keys(schema, keys or (), path)


def _check_map_keys(schema: Schema, keys: Any, path: str) -> Iterator[Cause]:
    where = f"{path}.x-kubernetes-list-map-keys"
    if not keys:
        yield required(where, "must not be empty if x-kubernetes-list-type is map")
    items = schema.get("items")
    if not isinstance(items, dict) or misshapen(items, ""):
        return  # told where the elements are looked at
    properties, needed = items.get("properties") or {}, items.get("required") or ()
    for index, key in enumerate(keys):
        if key not in properties:
            yield invalid(f"{where}[{index}]", key, "entries must all be names of item properties")
        elif key not in needed and isinstance(properties[key], dict) and "default" not in properties[key]:
            yield required(
                f"{path}.items.properties[{key}].default",
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            )


def _check_metadata(schema: Schema, path: str, level: str) -> Iterator[Cause]:
    properties = schema.get("properties") or {}
    if level != "root" and not schema.get("x-kubernetes-embedded-resource"):
        return
    for name in ("kind", "apiVersion"):
        given = properties.get(name)
        if isinstance(given, dict) and given.get("type") != "string":
            yield invalid(f"{path}.properties[{name}].type", given.get("type", ""), "must be string")
    metadata = properties.get("metadata")
    if metadata is None:
        return
    where = f"{path}.properties[metadata]"
    wrong = misshapen(metadata, where) if isinstance(metadata, dict) else [invalid(where, metadata, "must be a schema")]
    if wrong:
        yield from wrong
        return
    if metadata.get("type") != "object":
        yield invalid(f"{where}.type", metadata.get("type", ""), "must be object")
    more = metadata.keys() - {"type", "properties", "description"} or (
        (metadata.get("properties") or {}).keys() - {"name", "generateName"}
    )
    if level == "root" and more:
        yield forbidden(
            where, "must not specify anything other than name and generateName, but metadata is implicitly specified"
        )


def _check_values(schema: Schema, path: str, depth: int) -> Iterator[Cause]:
    """Check value validations, and that what stands under junctors says nothing but values."""
    if "pattern" in schema:
        yield from _check_pattern(schema["pattern"], f"{path}.pattern")
    for word in ("anyOf", "allOf", "oneOf"):
        branches = schema.get(word) or ()
        for index, branch in enumerate(branches):
            if not _says_int_or_string(schema, word, index):
                yield from _check_nested(branch, f"{path}.{word}[{index}]", depth + 1)
    if "not" in schema:
        yield from _check_nested(schema["not"], f"{path}.not", depth + 1)


def _says_int_or_string(schema: Schema, word: str, index: int) -> bool:
    """Tell whether a branch is one of the two places where types may be named: an int-or-string's spelt-out form."""
    if word == "anyOf":
        return bool(schema["anyOf"] == _INT_OR_STRING)
    first = schema["allOf"][0] if word == "allOf" and index == 0 else None
    return bool(isinstance(first, dict) and first.get("anyOf") == _INT_OR_STRING)


def _check_pattern(pattern: Any, path: str) -> Iterator[Cause]:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions())
    except (jsonschema_rs.ValidationError, ValueError):
        yield invalid(path, pattern, "must be a valid regular expression, but isn't")


def _check_nested(schema: Any, path: str, depth: int) -> Iterator[Cause]:
    if not isinstance(schema, dict) or depth > DEEPEST:
        yield invalid(path, schema, "must be a schema")
        return
    wrong = misshapen(schema, path)
    if wrong:
        yield from wrong
        return
    for name, why in _EMPTY_WHEN_NESTED.items():
        if schema.get(name):
            yield forbidden(f"{path}.{name}", why)
    properties = schema.get("properties") or {}
    if "metadata" in properties:
        yield forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")
    yield from _check_values(schema, path, depth)
    for name, each in properties.items():
        yield from _check_nested(each, f"{path}.properties[{name}]", depth + 1)
    if "items" in schema:
        yield from _check_nested(schema["items"], f"{path}.items", depth + 1)


def _check_below(schema: Schema, path: str, level: str, depth: int) -> Iterator[Cause]:
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    for name, each in properties.items():
        if not (level == "root" and name == "metadata"):
            yield from _check(each, f"{path}.properties[{name}]", "field", depth + 1)
    if additional is not None:
        where = f"{path}.additionalProperties"
        if level == "root":
            yield forbidden(where, "must not be used at the root")
        if properties:
            yield forbidden(where, "additionalProperties and properties are mutual exclusive")
        if isinstance(additional, dict):
            yield from _check(additional, where, "field", depth + 1)
    if isinstance(schema.get("items"), dict):
        yield from _check(schema["items"], f"{path}.items", "item", depth + 1)
    elif "items" in schema:
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
