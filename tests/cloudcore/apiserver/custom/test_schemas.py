from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.custom.schemas import (
    MOST_ERRORS,
    compile_schema,
    find_duplicates,
    find_errors,
    list_types_of,
    path_text,
)

STRING = {"type": "string"}


def told(schema: dict[str, Any], value: Any) -> list[tuple[str, str]]:
    """Return what is wrong with ``value`` where ``schema`` is that of the field ``f``."""
    validator = compile_schema({"type": "object", "properties": {"f": schema}})
    return [(error.cause.field, error.cause.message) for error in find_errors(validator, {"f": value})]


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        (STRING, 1, 'Invalid value: "integer": f in body must be of type string: "integer"'),
        (STRING, None, 'Invalid value: "null": f in body must be of type string: "null"'),
        ({"type": "integer"}, 1.5, 'Invalid value: "number": f in body must be of type integer: "number"'),
        ({"type": "object"}, [], 'Invalid value: "array": f in body must be of type object: "array"'),
        (
            {"x-kubernetes-int-or-string": True},
            True,
            'Invalid value: "boolean": f in body must be of type integer,string: "boolean"',
        ),
        ({**STRING, "enum": ["b", "a"]}, "c", 'Unsupported value: "c": supported values: "a", "b"'),
        ({"minimum": 1}, 0, "Invalid value: 0: f in body should be greater than or equal to 1"),
        ({"minimum": 1, "exclusiveMinimum": True}, 1, "Invalid value: 1: f in body should be greater than 1"),
        ({"maximum": 1}, 2, "Invalid value: 2: f in body should be less than or equal to 1"),
        ({"maximum": 1, "exclusiveMaximum": True}, 1, "Invalid value: 1: f in body should be less than 1"),
        ({"multipleOf": 2}, 3, "Invalid value: 3: f in body should be a multiple of 2"),
        ({"pattern": "^a"}, "b", "Invalid value: \"b\": f in body should match '^a'"),
        ({"minLength": 2}, "b", 'Invalid value: "b": f in body should be at least 2 chars long'),
        ({"maxLength": 1}, "bb", "Too long: may not be more than 1 bytes"),
        ({"minItems": 1}, [], "Invalid value: 0: f in body should have at least 1 items"),
        ({"maxItems": 1}, [1, 2], "Too many: 2: must have at most 1 items"),
        ({"minProperties": 1}, {}, "Invalid value: 0: f in body should have at least 1 properties"),
        ({"maxProperties": 1}, {"a": 1, "b": 2}, "Too many: 2: must have at most 1 items"),
        (
            {"format": "date-time"},
            "tomorrow",
            'Invalid value: "tomorrow": f in body must be of type date-time: "tomorrow"',
        ),
        ({"format": "duration"}, "5 days", 'Invalid value: "5 days": f in body must be of type duration: "5 days"'),
        ({"format": "cidr"}, "10.0.0.1", 'Invalid value: "10.0.0.1": f in body must be of type cidr: "10.0.0.1"'),
        ({"format": "byte"}, "?", 'Invalid value: "?": f in body must be of type byte: "?"'),
        (
            {"oneOf": [{"minimum": 5}, {"maximum": 1}]},
            3,
            'Invalid value: 3: "f" must validate one and only one schema (oneOf)',
        ),
        (
            {"anyOf": [{"minimum": 5}, {"maximum": 1}]},
            3,
            'Invalid value: 3: "f" must validate at least one schema (anyOf)',
        ),
        ({"allOf": [{"minimum": 5}]}, 3, "Invalid value: 3: f in body should be greater than or equal to 5"),
        ({"not": {"minimum": 1}}, 3, 'Invalid value: 3: "f" must not validate the schema (not)'),
    ],
)
def test_errors_are_worded_as_kubernetes_words_them(schema: dict[str, Any], value: Any, message: str) -> None:
    assert told(schema, value) == [("f", message)]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({**STRING, "nullable": True}, None),
        ({**STRING, "nullable": True, "enum": ["a"]}, None),
        ({"x-kubernetes-int-or-string": True}, 1),
        ({"x-kubernetes-int-or-string": True}, "http"),
        ({"type": "number"}, 1),
        ({"format": "duration"}, "1h30m"),
        ({"format": "cidr"}, "10.0.0.0/8"),
        ({"format": "mac"}, "00:1b:44:11:3a:b7"),
        ({"format": "unheard-of"}, "x"),
        ({"type": "object", "additionalProperties": STRING}, {"a": "b"}),
    ],
)
def test_what_is_allowed_is_let_through(schema: dict[str, Any], value: Any) -> None:
    assert told(schema, value) == []


def test_a_missing_field_is_told_by_its_own_path() -> None:
    schema = {"type": "array", "items": {"type": "object", "required": ["a"]}}
    assert told(schema, [{"a": 1}, {}]) == [("f[1].a", "Required value")]


def test_an_embedded_resource_must_say_what_it_is() -> None:
    assert told({"type": "object", "x-kubernetes-embedded-resource": True}, {"kind": "Pod"}) == [
        ("f.apiVersion", "Required value")
    ]


def test_the_metadata_of_a_resource_is_not_looked_into() -> None:
    validator = compile_schema({"type": "object", "properties": {"metadata": {"type": "string"}}}, resource=True)
    assert validator.is_valid({"metadata": {"name": "a"}})


def test_the_number_of_errors_is_bounded() -> None:
    assert len(told({"type": "array", "items": STRING}, [1] * 1000)) == MOST_ERRORS


def test_a_schema_that_cannot_be_compiled_is_an_error() -> None:
    with pytest.raises(ValueError, match="regex"):
        compile_schema({"pattern": "("})


LISTS = {
    "type": "object",
    "properties": {
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": STRING},
        "map": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "port"],
            "items": {"type": "object"},
        },
        "atomic": {"type": "array", "x-kubernetes-list-type": "atomic", "items": STRING},
        "nested": {"type": "array", "items": {"type": "array", "x-kubernetes-list-type": "set", "items": STRING}},
    },
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"set": ["a", "b"]}, []),
        ({"set": ["a", "b", "a"]}, [("set[2]", 'Duplicate value: "a"')]),
        ({"atomic": ["a", "a"]}, []),
        ({"map": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]}, []),
        (
            {"map": [{"name": "a", "port": 1, "x": 1}, {"name": "a", "port": 1, "x": 2}]},
            [("map[1]", 'Duplicate value: {"name":"a","port":1}')],
        ),
        ({"nested": [["a"], ["b", "b"]]}, [("nested[1][1]", 'Duplicate value: "b"')]),
    ],
)
def test_sets_and_maps_hold_each_element_once(body: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    found = find_duplicates(list_types_of(LISTS), body)
    assert [(error.cause.field, error.cause.message) for error in found] == expected


def test_paths_are_written_as_kubernetes_writes_them() -> None:
    assert path_text(("spec", "list", 0, "a")) == "spec.list[0].a"
    assert path_text(()) == "<nil>"
