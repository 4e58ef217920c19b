"""What kind of value each keyword of a schema has.

The types of a definition's own schema say it for most of a schema, but not below ``items`` and its like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cloudcore.apiserver.validation.fields import invalid, required
from cloudcore.errors import Cause

_Kinds = tuple[type, ...]
_TEXTS: Final = ("description", "format", "pattern", "title", "type", "x-kubernetes-list-type", "x-kubernetes-map-type")
_FLAGS: Final = (
    "exclusiveMaximum",
    "exclusiveMinimum",
    "nullable",
    "uniqueItems",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
)
_COUNTS: Final = ("maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties")
_NAMES: Final = ("required", "x-kubernetes-list-map-keys")
_RULES: Final = "x-kubernetes-validations"
_KINDS: Final[Mapping[str, _Kinds]] = {
    **dict.fromkeys(_TEXTS, (str,)),
    **dict.fromkeys(_FLAGS, (bool,)),
    **dict.fromkeys(_COUNTS, (int,)),
    **dict.fromkeys(("maximum", "minimum", "multipleOf"), (int, float)),
    **dict.fromkeys(("allOf", "anyOf", "enum", "oneOf", _RULES, *_NAMES), (list,)),
    **dict.fromkeys(("not", "properties"), (dict,)),
    "additionalProperties": (bool, dict),
}
_WORDS: Final = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def drop_nulls(schema: Any) -> None:
    """Drop keywords that are null, which means absent, from a schema and all below it, in place."""
    if not isinstance(schema, dict):
        return
    for word in [word for word, value in schema.items() if value is None]:
        del schema[word]
    properties = schema.get("properties")
    for each in properties.values() if isinstance(properties, dict) else ():
        drop_nulls(each)
    for word in ("additionalProperties", "items", "not"):
        drop_nulls(schema.get(word))
    for word in ("allOf", "anyOf", "oneOf"):
        for each in schema[word] if isinstance(schema.get(word), list) else ():
            drop_nulls(each)


def misshapen(schema: Mapping[str, Any], path: str) -> list[Cause]:
    """Return which keywords of one schema node have a value of another kind than they must."""
    return list(_wrong_kinds(schema, path)) or [*_wrong_elements(schema, path), *_wrong_rules(schema, path)]


def _wrong_kinds(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for word, kinds in _KINDS.items():
        value = schema.get(word)
        taken_for_number = isinstance(value, bool) and bool not in kinds
        if value is not None and (taken_for_number or not isinstance(value, kinds)):
            yield invalid(f"{path}.{word}", value, f"must be of type {' or '.join(_WORDS[kind] for kind in kinds)}")


def _wrong_elements(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for word in _COUNTS:
        if not 0 <= (schema.get(word) or 0) < 2**63:
            yield invalid(f"{path}.{word}", schema[word], "must be greater than or equal to 0")
    for word in _NAMES:
        for index, name in enumerate(schema.get(word) or ()):
            if not isinstance(name, str):
                yield invalid(f"{path}.{word}[{index}]", name, "must be of type string")


def _wrong_rules(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for index, rule in enumerate(schema.get(_RULES) or ()):
        where = f"{path}.{_RULES}[{index}]"
        if not isinstance(rule, dict) or not isinstance(rule.get("rule"), str):
            yield required(f"{where}.rule", "rule is not specified")
            continue
        for word, value in rule.items():
            if value is not None and not isinstance(value, bool if word == "optionalOldSelf" else str):
                yield invalid(f"{where}.{word}", value, "must be of another type")
