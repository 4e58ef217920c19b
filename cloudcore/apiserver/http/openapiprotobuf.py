"""The OpenAPI 2 document as protobuf: what Helm and older kubectl ask for, and take nothing else. Sans-IO.

The messages are those of gnostic's ``OpenAPIv2.proto`` (package ``openapi.v2``), as far as our documents use them.
What the schema language of that file does not foresee (``oneOf`` and the like) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

Document = Mapping[str, Any]

_VARINT, _BYTES = 0, 2
_CONTINUED: Final = 0x80
_METHODS: Final = (("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("options", 6), ("head", 7), ("patch", 8))
_PARAMETER_SCHEMAS: Final = {"header": 1, "formData": 2, "query": 3, "path": 4}


def encode_document(document: Document) -> bytes:
    """Return an OpenAPI 2 document as an ``openapi.v2.Document`` message."""
    info = _texts(document["info"], (("title", 1), ("version", 2), ("description", 3)))
    parts = [_text(1, document["swagger"]), _field(2, info)]
    paths = b"".join(_named(2, name, _path_item(item)) for name, item in document["paths"].items())
    definitions = b"".join(_named(1, name, _schema(schema)) for name, schema in document["definitions"].items())
    return b"".join((*parts, _field(8, paths), _field(9, definitions), _extensions(16, document)))


def _path_item(item: Document) -> bytes:
    operations = [_field(number, _operation(item[name])) for name, number in _METHODS if name in item]
    return b"".join((*operations, *_parameters(9, item), _extensions(10, item)))


def _operation(operation: Document) -> bytes:
    responses = b"".join(
        _named(1, code, _field(1, _response(response))) for code, response in operation["responses"].items()
    )
    return b"".join(
        (
            _texts(operation, (("summary", 2), ("description", 3), ("operationId", 5))),
            *(_text(6, each) for each in operation.get("produces", ())),
            *(_text(7, each) for each in operation.get("consumes", ())),
            *_parameters(8, operation),
            _field(9, responses),
            _extensions(13, operation),
        )
    )


def _response(response: Document) -> bytes:
    schema = _field(2, _field(1, _schema(response["schema"]))) if "schema" in response else b""
    return _text(1, response.get("description", "")) + schema + _extensions(5, response)


def _parameters(number: int, holder: Document) -> Iterator[bytes]:
    """Yield each parameter as a ``ParametersItem``."""
    for parameter in holder.get("parameters", ()):
        yield _field(number, _field(1, _parameter(parameter)))


def _parameter(parameter: Document) -> bytes:
    if parameter["in"] == "body":
        names = _texts(parameter, (("description", 1), ("name", 2), ("in", 3)))
        return _field(1, names + _flag(4, parameter.get("required")) + _field(5, _schema(parameter["schema"])))
    place = _PARAMETER_SCHEMAS[parameter["in"]]
    # Query and form parameters have one field more (allow_empty_value) than the others, before the type.
    shift = 1 if parameter["in"] in {"query", "formData"} else 0
    common = _flag(1, parameter.get("required")) + _texts(parameter, (("in", 2), ("description", 3), ("name", 4)))
    typed = _texts(parameter, (("type", 5 + shift), ("format", 6 + shift)))
    return _field(2, _field(place, common + typed + _flag(19 + shift, parameter.get("uniqueItems"))))


def _schema(schema: Document) -> bytes:
    encoded = [
        row.encode(row.number, schema[row.name])
        for row in _SCHEMA
        if row.name in schema and schema[row.name] is not None
    ]
    return b"".join((*encoded, _extensions(31, schema)))


@dataclass(frozen=True, slots=True)
class _Row:
    """A field of the message ``Schema``: its name in JSON, its number, and how it is written."""

    name: str
    number: int
    encode: Callable[[int, Any], bytes]


def _all(encode: Callable[[int, Any], bytes]) -> Callable[[int, Any], bytes]:
    return lambda number, values: b"".join(encode(number, each) for each in values)


def _sub_schema(number: int, schema: Document) -> bytes:
    return _field(number, _schema(schema))


def _additional(number: int, value: Document | bool) -> bytes:
    return _field(number, _flag(2, value) if isinstance(value, bool) else _sub_schema(1, value))


def _types(number: int, value: str | list[str]) -> bytes:
    return _field(number, b"".join(_text(1, each) for each in ([value] if isinstance(value, str) else value)))


def _items(number: int, schema: Document) -> bytes:
    return _field(number, _sub_schema(1, schema))


def _properties(number: int, properties: Document) -> bytes:
    return _field(number, b"".join(_named(1, name, _schema(schema)) for name, schema in properties.items()))


def _any(number: int, value: Any) -> bytes:
    return _field(number, _text(2, orjson.dumps(value).decode() + "\n"))


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode())


def _flag(number: int, value: object) -> bytes:
    return _tag(number, _VARINT) + b"\x01" if value else b""


def _count(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _varint(value)


_SCHEMA: Final = (
    _Row("$ref", 1, _text),
    _Row("format", 2, _text),
    _Row("title", 3, _text),
    _Row("description", 4, _text),
    _Row("default", 5, _any),
    _Row("maxLength", 11, _count),
    _Row("minLength", 12, _count),
    _Row("pattern", 13, _text),
    _Row("maxItems", 14, _count),
    _Row("minItems", 15, _count),
    _Row("uniqueItems", 16, _flag),
    _Row("maxProperties", 17, _count),
    _Row("minProperties", 18, _count),
    _Row("required", 19, _all(_text)),
    _Row("enum", 20, _all(_any)),
    _Row("additionalProperties", 21, _additional),
    _Row("type", 22, _types),
    _Row("items", 23, _items),
    _Row("allOf", 24, _all(_sub_schema)),
    _Row("properties", 25, _properties),
)


def _texts(holder: Document, fields: tuple[tuple[str, int], ...]) -> bytes:
    return b"".join(_text(number, holder[name]) for name, number in fields if holder.get(name))


def _extensions(number: int, holder: Document) -> bytes:
    named = [(name, value) for name, value in holder.items() if name.startswith("x-")]
    return b"".join(_field(number, _text(1, name) + _any(2, value)) for name, value in named)


def _named(number: int, name: str, value: bytes) -> bytes:
    """Return an entry of a map, which these messages hold as name and value."""
    return _field(number, _text(1, name) + _field(2, value))


def _field(number: int, content: bytes) -> bytes:
    return _tag(number, _BYTES) + _varint(len(content)) + content


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    """Return an unsigned number in groups of seven bits, the lowest first."""
    if value < _CONTINUED:
        return bytes((value,))
    out = bytearray()
    while value >= _CONTINUED:
        out.append(value & 0x7F | _CONTINUED)
        value >>= 7
    out.append(value)
    return bytes(out)
