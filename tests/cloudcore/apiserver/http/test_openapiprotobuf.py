from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cloudcore.apiserver.http.openapi import _document_v2
from cloudcore.apiserver.http.openapiprotobuf import encode_document
from cloudcore.apiserver.kinds import builtin_kinds

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "ä" * 100,
    "required": ["a", "b"],
    "properties": {
        "a": {"type": "array", "items": {"$ref": "#/definitions/X"}, "default": [1]},
        "b": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
    },
    "x-kubernetes-group-version-kind": [{"kind": "X"}],
}
OPERATION: dict[str, Any] = {
    "operationId": "patchX",
    "consumes": ["application/json"],
    "parameters": [
        {"name": "body", "in": "body", "required": True, "schema": {"type": "object"}},
        {"name": "dryRun", "in": "query", "type": "string", "uniqueItems": True},
    ],
    "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/X"}}},
    "x-kubernetes-action": "patch",
}
DOCUMENT: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"title": "T", "version": "v1"},
    "paths": {"/x": {"parameters": [{"name": "name", "in": "path", "type": "string"}], "patch": OPERATION}},
    "definitions": {"X": SCHEMA},
}


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and value of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            assert tag & 7 == 0
            yield tag >> 3, value


def below(data: bytes, *numbers: int) -> bytes:
    """Return the first field at a path of field numbers."""
    for number in numbers:
        data = next(value for each, value in fields(data) if each == number)
    return data


def test_the_document_and_its_paths() -> None:
    encoded = encode_document(DOCUMENT)
    assert below(encoded, 1) == b"2.0"
    assert (below(encoded, 2, 1), below(encoded, 2, 2)) == (b"T", b"v1")
    assert below(encoded, 8, 2, 1) == b"/x"
    item = below(encoded, 8, 2, 2)
    assert below(item, 9, 1, 2, 4, 4) == b"name"
    operation = below(item, 8)
    assert (below(operation, 5), below(operation, 7)) == (b"patchX", b"application/json")
    assert (below(operation, 13, 1), below(operation, 13, 2, 2)) == (b"x-kubernetes-action", b'"patch"\n')
    assert (below(operation, 9, 1, 1), below(operation, 9, 1, 2, 1, 2, 1, 1)) == (b"200", b"#/definitions/X")
    body, query = (value for number, value in fields(operation) if number == 8)
    assert (below(body, 1, 1, 2), below(body, 1, 1, 5, 22, 1)) == (b"body", b"object")
    assert dict(fields(below(query, 1, 2, 3))) == {2: b"query", 4: b"dryRun", 6: b"string", 20: 1}


def test_a_schema_keeps_what_clients_go_by() -> None:
    schema = below(encode_document(DOCUMENT), 9, 1, 2)
    assert below(schema, 4).decode() == "ä" * 100
    assert [value for number, value in fields(schema) if number == 19] == [b"a", b"b"]
    assert (below(schema, 31, 1), below(schema, 31, 2, 2)) == (
        b"x-kubernetes-group-version-kind",
        b'[{"kind":"X"}]\n',
    )
    a, b = (value for number, value in fields(below(schema, 25)) if number == 1)
    assert (below(a, 1), below(a, 2, 23, 1, 1), below(a, 2, 5, 2)) == (b"a", b"#/definitions/X", b"[1]\n")
    assert (below(b, 2, 21, 1, 22, 1), below(b, 2, 31, 1)) == (b"string", b"x-kubernetes-map-type")


def test_every_definition_of_the_served_document_is_there() -> None:
    document = _document_v2(builtin_kinds())
    encoded = encode_document(document)
    names = [below(value, 1).decode() for number, value in fields(below(encoded, 9)) if number == 1]
    assert names == list(document["definitions"])
    assert len(list(fields(below(encoded, 8)))) == len(document["paths"])
