"""Decoding: does a body have the fields and types of its kind? Says what is wrong in Kubernetes' words.

The compiled schema answers for almost every body. One that fails is walked once beside its schema: nulls are
dropped (they mean "absent" in Kubernetes), unknown fields are collected and dropped, wrong types are collected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from cloudcore.apiserver import failures
from cloudcore.apiserver.context import Context
from cloudcore.apiserver.kinds.kind import Kind
from cloudcore.apiserver.validation.fields import required
from cloudcore.apiserver.validation.schemas import Schema, Schemas, resolve, type_name
from cloudcore.apiserver.validation.strictness import Slip, report
from cloudcore.errors import BadRequest
from protocol.objects.keys import Body

_GO_TYPES: Final = {"array": "[]", "object": "map", "boolean": "bool", "integer": "int", "number": "float64"}
_JSON_TYPES: Final = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}
_METADATA: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_INDEX: Final = re.compile(r"\[\d+\]")


@dataclass(slots=True)
class _Findings:
    """What a walk found, as field paths."""

    unknown: list[str] = field(default_factory=list)
    mistyped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def require_object(kind: Kind, body: object) -> None:
    """Refuse what is not an object with metadata.

    Raises:
        BadRequest: It is something else.
    """
    if not isinstance(body, dict) or not isinstance(body.setdefault("metadata", {}), dict):
        raise _cannot_handle(kind, "json: the body must be an object with an object for metadata")


def decode(schemas: Schemas, kind: Kind, body: Body, context: Context) -> None:
    """Check ``body`` against its kind's schema; drop nulls and, unless strict, unknown fields.

    Raises:
        BadRequest: A field has the wrong type, or is unknown under strict validation.
        Invalid: A required field is absent.
    """
    require_object(kind, body)
    findings = _Findings()
    if kind.custom is not None:
        if not schemas.accepts(_METADATA, body["metadata"]):
            _walk_object(schemas.definition(_METADATA), body["metadata"], "metadata", type_name(_METADATA), findings)
        findings.unknown += kind.custom.prune(body)
    elif kind.schema and not schemas.accepts(kind.schema, body):
        _walk_object(schemas.definition(kind.schema), body, "", type_name(kind.schema), findings)
    if findings.mistyped:
        raise _cannot_handle(kind, findings.mistyped[0])
    report([Slip(f'unknown field "{path}"', path) for path in findings.unknown], context)
    if findings.missing:
        name = str(body["metadata"].get("name", ""))
        raise failures.invalid(kind, name, [required(path) for path in findings.missing])


def _cannot_handle(kind: Kind, why: str) -> BadRequest:
    return BadRequest(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}')


def _walk_object(schema: Schema, value: Body, path: str, struct: str, findings: _Findings) -> None:
    properties = schema.get("properties")
    if properties is None:
        _walk_map(schema, value, path, struct, findings)
        return
    for name in list(value):
        below = f"{path}.{name}" if path else name
        if name not in properties:
            findings.unknown.append(below)
            del value[name]
        elif value[name] is None:
            del value[name]
        else:
            _walk(properties[name], value[name], below, struct, findings)
    in_status = path == "status" or path.startswith("status.")
    for name in () if in_status else schema.get("required", ()):
        if name not in value:
            findings.missing.append(f"{path}.{name}" if path else name)


def _walk_map(schema: Schema, value: Body, path: str, struct: str, findings: _Findings) -> None:
    items = schema.get("additionalProperties")
    if not isinstance(items, dict):
        return
    for name in [name for name, item in value.items() if item is None]:
        del value[name]
    for name, item in value.items():
        _walk(items, item, f"{path}.{name}", struct, findings)


def _walk(schema: Schema, value: Any, path: str, struct: str, findings: _Findings) -> None:
    ref = schema.get("$ref")
    if ref is not None:
        struct_below, schema = type_name(ref), resolve(schema)
    else:
        struct_below = struct
    # Go names the innermost struct and the path without indices.
    wrong = _type_error(schema, value, f"{struct}.{_INDEX.sub('', path)}")
    if wrong:
        findings.mistyped.append(wrong)
    elif isinstance(value, dict):
        _walk_object(schema, value, path, struct_below, findings)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk(schema.get("items", {}), item, f"{path}[{index}]", struct_below, findings)


def _type_error(schema: Schema, value: Any, where: str) -> str:
    """Return what is wrong with the type of ``value``; empty if it is right."""
    kinds = [option["type"] for option in schema.get("oneOf", ())] or [schema.get("type", "")]
    allowed = [name for name in kinds if name]
    if not allowed:
        return ""
    if not any(_is_of(name, value) for name in allowed):
        return _unmarshal_error(_json_type(value), where, " or ".join(_go_type(name, schema) for name in allowed))
    return _form_error(schema, value, where)


def _form_error(schema: Schema, value: Any, where: str) -> str:
    """Return what is wrong with a value of the right type: out of its range, or not of its pattern."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(value, int) and low is not None and high is not None and not low <= value <= high:
        return _unmarshal_error(f"number {value}", where, _go_type("integer", schema))
    pattern = schema.get("pattern")
    if pattern and isinstance(value, str) and re.fullmatch(pattern, value) is None:
        return f"{where}: {schema['x-error']}: {value!r}"
    return ""


def _unmarshal_error(found: str, where: str, wanted: str) -> str:
    return f"json: cannot unmarshal {found} into Go struct field {where} of type {wanted}"


def _is_of(name: str, value: Any) -> bool:
    match name:
        case "string":
            return isinstance(value, str)
        case "integer":
            return (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, float) and value.is_integer()
            )
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
    return False


def _go_type(name: str, schema: Schema) -> str:
    if name == "integer":
        return str(schema.get("format", "int"))
    return _GO_TYPES.get(name, name)


def _json_type(value: Any) -> str:
    return "null" if value is None else _JSON_TYPES.get(type(value), type(value).__name__)
