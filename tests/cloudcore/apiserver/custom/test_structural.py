from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.custom.structural import DEEPEST, check_structural

ROOT: dict[str, Any] = {"type": "object"}


def spec(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": schema}}


def test_an_ordinary_schema_is_structural() -> None:
    schema = spec(
        {
            "type": "object",
            "required": ["ports"],
            "properties": {
                "ports": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": {"type": "string"},
                            "target": {"x-kubernetes-int-or-string": True},
                            "other": {
                                "x-kubernetes-int-or-string": True,
                                "anyOf": [{"type": "integer"}, {"type": "string"}],
                                "pattern": "^[a-z]+$",
                            },
                        },
                    },
                },
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "template": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "x-kubernetes-preserve-unknown-fields": True,
                },
            },
            "oneOf": [{"required": ["ports"]}, {"properties": {"labels": {"minProperties": 1}}}],
        }
    )
    assert check_structural(schema, "schema") == []


@pytest.mark.parametrize(
    ("schema", "field", "message"),
    [
        ({}, "schema.type", "Required value: must not be empty at the root"),
        ({"type": "array", "items": ROOT}, "schema.type", 'Invalid value: "array": must be object at the root'),
        (spec({}), "schema.properties[spec].type", "Required value: must not be empty for specified object fields"),
        (
            spec({"type": "array"}),
            "schema.properties[spec].items",
            "Required value: must be specified",
        ),
        (
            spec({"type": "array", "items": {}}),
            "schema.properties[spec].items.type",
            "Required value: must not be empty for specified array items",
        ),
        (
            spec({"type": "array", "items": [ROOT]}),
            "schema.properties[spec].items",
            "Forbidden: items must be a schema object and not an array",
        ),
        (
            spec({"type": "null"}),
            "schema.properties[spec].type",
            'Unsupported value: "null": supported values: "array", "boolean", "integer", "number", "object", "string"',
        ),
        (spec({"type": "object", "$ref": "#"}), "schema.properties[spec].$ref", "Forbidden: $ref is not supported"),
        (
            spec({"type": "array", "items": ROOT, "uniqueItems": True}),
            "schema.properties[spec].uniqueItems",
            "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (
            {"type": "object", "additionalProperties": True},
            "schema.additionalProperties",
            "Forbidden: must not be used at the root",
        ),
        (
            spec({"type": "object", "properties": {"a": ROOT}, "additionalProperties": ROOT}),
            "schema.properties[spec].additionalProperties",
            "Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            spec({"type": "object", "anyOf": [{"type": "object"}]}),
            "schema.properties[spec].anyOf[0].type",
            "Forbidden: must be empty to be structural",
        ),
        (
            spec({"type": "object", "not": {"properties": {"a": {"default": 1}}}}),
            "schema.properties[spec].not.properties[a].default",
            "Forbidden: must be undefined to be structural",
        ),
        (
            {"type": "object", "allOf": [{"properties": {"metadata": {}}}]},
            "schema.allOf[0].properties[metadata]",
            "Forbidden: must not be specified in a nested context",
        ),
        (
            {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": ROOT}}}},
            "schema.properties[metadata]",
            "Forbidden: must not specify anything other than name and generateName, "
            "but metadata is implicitly specified",
        ),
        (
            {"type": "object", "properties": {"kind": {"type": "integer"}}},
            "schema.properties[kind].type",
            'Invalid value: "integer": must be string',
        ),
        (
            spec({"type": "string", "pattern": "("}),
            "schema.properties[spec].pattern",
            'Invalid value: "(": must be a valid regular expression, but isn\'t',
        ),
        (
            spec({"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True}),
            "schema.properties[spec].x-kubernetes-preserve-unknown-fields",
            "Invalid value: true: must be false if x-kubernetes-int-or-string is true",
        ),
        (
            spec({"type": "array", "items": ROOT, "x-kubernetes-list-type": "heap"}),
            "schema.properties[spec].x-kubernetes-list-type",
            'Unsupported value: "heap": supported values: "atomic", "map", "set"',
        ),
        (
            spec({"type": "array", "items": ROOT, "x-kubernetes-list-type": "map"}),
            "schema.properties[spec].x-kubernetes-list-map-keys",
            "Required value: must not be empty if x-kubernetes-list-type is map",
        ),
        (
            spec(
                {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                }
            ),
            "schema.properties[spec].items.properties[name].default",
            "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default "
            "or be a required property",
        ),
    ],
)
def test_what_is_not_structural_is_told_by_its_path(schema: dict[str, Any], field: str, message: str) -> None:
    causes = check_structural(schema, "schema")
    assert (field, message) in [(cause.field, cause.message) for cause in causes]


def test_depth_is_bounded() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(DEEPEST + 5):
        schema = {"type": "object", "properties": {"a": schema}}
    assert [cause.message for cause in check_structural(schema, "schema")] == [
        f"Forbidden: must not be nested deeper than {DEEPEST} levels"
    ]
