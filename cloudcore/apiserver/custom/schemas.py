"""Validation of custom objects by their structural schema, with Kubernetes' words for what is wrong.

The schema is translated to JSON Schema and compiled on first use (jsonschema-rs): the compiled form answers for an
object in microseconds. Only one that fails is asked for its errors, which are then said as Kubernetes says them.
Patterns run on an engine whose time is linear in the text, so that no schema can make the server hang.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs

from cloudcore.apiserver.validation.fields import duplicate, invalid, not_supported, required
from cloudcore.errors import Cause
from protocol.objects.keys import Body

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]

MOST_ERRORS: Final = 100
"""Errors told of one object."""

_COPIED: Final = (
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "multipleOf",
    "pattern",
    "required",
)
_GO_DURATION: Final = re.compile(
    r"[+-]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*)"
)
_BASE64: Final = re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_MAC: Final = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


_OWN_FORMATS: Final[dict[str, Callable[[str], bool]]] = {
    "byte": lambda text: _BASE64.fullmatch(text) is not None,
    "cidr": _is_cidr,
    "duration": lambda text: _GO_DURATION.fullmatch(text) is not None,
    "mac": lambda text: _MAC.fullmatch(text) is not None,
}
_KNOWN_FORMATS: Final = frozenset({"date", "date-time", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"})


@dataclass(frozen=True, slots=True)
class SchemaError:
    """One error.

    Attributes:
        node: The value that was judged, by its path in the object.
        cause: What, in Kubernetes' words.
        blocking: Whether rules (CEL) are not to be run on an object that has it.
    """

    node: Path
    cause: Cause
    blocking: bool = False


def compile_schema(schema: Schema, *, resource: bool = False) -> jsonschema_rs.Draft202012Validator:
    """Compile a structural schema.

    Args:
        schema: The schema.
        resource: It is of a whole object, whose ``apiVersion``, ``kind`` and ``metadata`` are checked elsewhere.

    Raises:
        ValueError: It cannot be compiled: a pattern that is none, say.
    """
    translated = _translate(schema)
    if resource:
        for name in ("apiVersion", "kind", "metadata"):
            translated.get("properties", {}).pop(name, None)
    try:
        return jsonschema_rs.Draft202012Validator(
            translated,
            validate_formats=True,
            formats=_OWN_FORMATS,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except jsonschema_rs.ValidationError as error:
        raise ValueError(str(error.message)) from error


def _translate(schema: Schema) -> dict[str, Any]:
    out: dict[str, Any] = {key: schema[key] for key in _COPIED if key in schema}
    _translate_type(schema, out)
    _translate_bounds(schema, out)
    if schema.get("format") in _KNOWN_FORMATS or schema.get("format") in _OWN_FORMATS:
        out["format"] = schema["format"]
    if "enum" in schema:
        out["enum"] = [*schema["enum"], None] if schema.get("nullable") else schema["enum"]
    if "properties" in schema:
        out["properties"] = {name: _translate(each) for name, each in schema["properties"].items()}
    for word in ("additionalProperties", "items", "not"):
        if word in schema:
            out[word] = _translate(schema[word]) if isinstance(schema[word], dict) else schema[word]
    for word in ("allOf", "anyOf", "oneOf"):
        if word in schema:
            out[word] = [_translate(each) for each in schema[word]]
    return out


def _translate_type(schema: Schema, out: dict[str, Any]) -> None:
    kinds = [schema["type"]] if schema.get("type") else []
    if schema.get("x-kubernetes-int-or-string"):
        kinds = ["integer", "string"]
    if kinds and schema.get("nullable"):
        kinds.append("null")
    if kinds:
        out["type"] = kinds
    if schema.get("x-kubernetes-embedded-resource"):
        out["required"] = sorted({"apiVersion", "kind", *out.get("required", ())})
    if not schema.get("multipleOf"):
        out.pop("multipleOf", None)


def _translate_bounds(schema: Schema, out: dict[str, Any]) -> None:
    """In OpenAPI 3.0 ``exclusiveMinimum`` is a flag beside ``minimum``; in JSON Schema it is the bound itself."""
    for word, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if word in schema:
            out[exclusive if schema.get(exclusive) else word] = schema[word]


def find_errors(validator: jsonschema_rs.Draft202012Validator, body: Any) -> list[SchemaError]:
    """Return what is wrong with ``body``, at most :data:`MOST_ERRORS`."""
    found: list[SchemaError] = []
    for error in validator.iter_errors(body):
        found.append(_told(error))
        if len(found) == MOST_ERRORS:
            break
    return found


def path_text(path: Sequence[str | int]) -> str:
    """Return a path as Kubernetes writes it: ``spec.ports[0].name``; ``<nil>`` for the object itself."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "<nil>"


_Wording = Callable[[str, Any, Any], tuple[Any, str]]
"""Takes the field, the keyword's value and the instance; returns what is shown as the value, and the detail."""


def _bound(words: str) -> _Wording:
    return lambda field, limit, value: (value, f"{field} in body should be {words} {_number(limit)}")


_INVALID: Final[dict[str, _Wording]] = {
    "minimum": _bound("greater than or equal to"),
    "maximum": _bound("less than or equal to"),
    "exclusiveMinimum": _bound("greater than"),
    "exclusiveMaximum": _bound("less than"),
    "multipleOf": _bound("a multiple of"),
    "pattern": lambda field, pattern, value: (value, f"{field} in body should match '{pattern}'"),
    "minLength": lambda field, limit, value: (value, f"{field} in body should be at least {limit} chars long"),
    "minItems": lambda field, limit, value: (len(value), f"{field} in body should have at least {limit} items"),
    "minProperties": lambda field, limit, value: (
        len(value),
        f"{field} in body should have at least {limit} properties",
    ),
    "format": lambda field, form, value: (value, f'{field} in body must be of type {form}: "{value}"'),
    "anyOf": lambda field, _, value: (value, f'"{field}" must validate at least one schema (anyOf)'),
    "oneOf": lambda field, _, value: (value, f'"{field}" must validate one and only one schema (oneOf)'),
    "not": lambda field, _, value: (value, f'"{field}" must not validate the schema (not)'),
}


def _told(error: jsonschema_rs.ValidationError) -> SchemaError:
    path: Path = tuple(error.instance_path)
    word, value, field = error.kind.name, error.kind.value, path_text(error.instance_path)
    match word:
        case "required":
            return SchemaError(path, required(path_text((*path, str(value)))), blocking=True)
        case "type":
            return SchemaError(path, _mistyped(field, value, error.instance), blocking=True)
        case "enum":
            return SchemaError(path, not_supported(field, error.instance, map(str, value)), blocking=True)
        case "maxLength":
            return SchemaError(path, _too_long(field, value), blocking=True)
        case "maxItems" | "maxProperties":
            return SchemaError(path, _too_many(field, _length(error.instance), value), blocking=True)
    wording = _INVALID.get(word)
    shown, detail = wording(field, value, error.instance) if wording else (error.instance, error.message)
    return SchemaError(path, invalid(field, shown, detail))


def _mistyped(field: str, wanted: Any, value: Any) -> Cause:
    names = [name for name in (wanted if isinstance(wanted, list) else [wanted]) if name != "null"]
    found = type_of(value)
    detail = f'{field} in body must be of type {",".join(names)}: "{found}"'
    return Cause("FieldValueTypeInvalid", f'Invalid value: "{found}": {detail}', field)


def _too_long(field: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", field)


def _too_many(field: str, count: int, limit: int) -> Cause:
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", field)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _number(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def type_of(value: Any) -> str:
    """Return the JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    names = {float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), type(value).__name__)


def list_types_of(schema: Schema) -> Schema | None:
    """Return the part of ``schema`` that leads to lists with a type (``set``, ``map``); None where there is none."""
    part: dict[str, Any] = {}
    if schema.get("x-kubernetes-list-type") in {"set", "map"}:
        part["x-kubernetes-list-type"] = schema["x-kubernetes-list-type"]
        part["x-kubernetes-list-map-keys"] = schema.get("x-kubernetes-list-map-keys") or []
    below = {name: list_types_of(each) for name, each in (schema.get("properties") or {}).items()}
    found = {name: each for name, each in below.items() if each is not None}
    if found:
        part["properties"] = found
    for word in ("items", "additionalProperties"):
        each = schema.get(word)
        reduced = list_types_of(each) if isinstance(each, dict) else None
        if reduced is not None:
            part[word] = reduced
    return part or None


def find_duplicates(types: Schema | None, value: Any, path: Path = ()) -> Iterator[SchemaError]:
    """Yield the elements of sets and maps that are there twice.

    Args:
        types: From :func:`list_types_of`.
        value: The object, or a part of it.
        path: Where the part is.
    """
    if types is None:
        return
    if isinstance(value, list):
        yield from _duplicates(types, value, path)
        for index, item in enumerate(value):
            yield from find_duplicates(types.get("items"), item, (*path, index))
    elif isinstance(value, dict):
        properties = types.get("properties") or {}
        for name, item in value.items():
            yield from find_duplicates(properties.get(name, types.get("additionalProperties")), item, (*path, name))


def _duplicates(types: Schema, items: list[Any], path: Path) -> Iterator[SchemaError]:
    keys, seen = types.get("x-kubernetes-list-map-keys"), set()
    if "x-kubernetes-list-type" not in types:
        return
    for index, item in enumerate(items):
        shown = _map_key(item, keys) if keys else item
        mark = repr(shown)
        if mark in seen:
            yield SchemaError((*path, index), duplicate(path_text((*path, index)), shown))
        seen.add(mark)


def _map_key(item: Any, keys: Sequence[str]) -> Body:
    return {key: item.get(key) for key in keys if key in item} if isinstance(item, dict) else {}
