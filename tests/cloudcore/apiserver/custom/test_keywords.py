from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.custom.keywords import drop_nulls, misshapen


@pytest.mark.parametrize(
    ("schema", "field", "message"),
    [
        ({"type": 1}, "s.type", "Invalid value: 1: must be of type string"),
        ({"properties": []}, "s.properties", "Invalid value: []: must be of type object"),
        ({"minimum": True}, "s.minimum", "Invalid value: true: must be of type integer or number"),
        ({"maxLength": 1.5}, "s.maxLength", "Invalid value: 1.5: must be of type integer"),
        ({"maxLength": -1}, "s.maxLength", "Invalid value: -1: must be greater than or equal to 0"),
        ({"nullable": "yes"}, "s.nullable", 'Invalid value: "yes": must be of type boolean'),
        ({"required": ["a", 1]}, "s.required[1]", "Invalid value: 1: must be of type string"),
        ({"x-kubernetes-validations": ["true"]}, "s.x-kubernetes-validations[0].rule", "Required value: rule is not"),
        (
            {"x-kubernetes-validations": [{"rule": "true", "message": 1}]},
            "s.x-kubernetes-validations[0].message",
            "Invalid value: 1: must be of another type",
        ),
    ],
)
def test_a_keyword_has_values_of_one_kind(schema: dict[str, Any], field: str, message: str) -> None:
    [cause] = misshapen(schema, "s")
    assert cause.field == field
    assert cause.message.startswith(message)


def test_unknown_keywords_and_good_values_are_let_be() -> None:
    schema = {"type": "object", "additionalProperties": True, "minimum": 1.5, "maxItems": 0, "anything": object()}
    assert misshapen(schema, "s") == []


def test_null_means_absent_wherever_it_stands() -> None:
    below = {"type": "string", "default": None}
    schema = {
        "format": None,
        "properties": {"a": dict(below), "b": None},
        "items": dict(below),
        "anyOf": [dict(below)],
        "not": dict(below),
        "enum": [None],
    }
    drop_nulls(schema)
    kept = {"type": "string"}
    assert schema == {
        "properties": {"a": kept, "b": None},
        "items": kept,
        "anyOf": [kept],
        "not": kept,
        "enum": [None],
    }
