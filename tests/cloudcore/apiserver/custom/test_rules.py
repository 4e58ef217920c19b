from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.custom import rules as module
from cloudcore.apiserver.custom.rules import Rules, check_rules


def spec(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a resource's schema whose spec has ``rules``."""
    properties = {
        "min": {"type": "integer"},
        "max": {"type": "integer"},
        "share": {"type": "number"},
        "until": {"type": "string", "format": "date-time"},
        "port": {"x-kubernetes-int-or-string": True},
        **more,
    }
    return {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": properties, "x-kubernetes-validations": list(rules)}},
    }


def told(schema: dict[str, Any], new: Any, old: Any = None) -> list[tuple[str, str, str]]:
    body = {"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}, "spec": new}
    before = None if old is None else {**body, "spec": old}
    return [(cause.reason, cause.field, cause.message) for cause in Rules(schema).check(body, before)]


def rule(source: str, **more: Any) -> dict[str, Any]:
    return {"rule": source, **more}


ORDERED = "self.min <= self.max"


@pytest.mark.parametrize(
    ("given", "reason", "field", "message"),
    [
        (rule(ORDERED), "FieldValueInvalid", "spec", f'Invalid value: "object": failed rule: {ORDERED}'),
        (rule(ORDERED, message="out of order"), "FieldValueInvalid", "spec", 'Invalid value: "object": out of order'),
        (
            rule(ORDERED, messageExpression="string(self.min) + ' is over ' + string(self.max)"),
            "FieldValueInvalid",
            "spec",
            'Invalid value: "object": 2 is over 1',
        ),
        (
            rule(ORDERED, message="plain", messageExpression="self.other"),
            "FieldValueInvalid",
            "spec",
            'Invalid value: "object": plain',
        ),
        (rule(ORDERED, reason="FieldValueForbidden", message="no"), "FieldValueForbidden", "spec", "Forbidden: no"),
        (rule(ORDERED, reason="FieldValueRequired", message="no"), "FieldValueRequired", "spec", "Required value: no"),
        (
            rule(ORDERED, reason="FieldValueDuplicate"),
            "FieldValueDuplicate",
            "spec",
            'Duplicate value: "object"',
        ),
        (rule(ORDERED, message="no", fieldPath=".max"), "FieldValueInvalid", "spec.max", 'Invalid value: "object": no'),
    ],
)
def test_a_broken_rule_is_told(given: dict[str, Any], reason: str, field: str, message: str) -> None:
    assert told(spec(given), {"min": 2, "max": 1}) == [(reason, field, message)]


def test_a_kept_rule_says_nothing() -> None:
    assert told(spec(rule(ORDERED)), {"min": 1, "max": 2}) == []


def test_a_rule_that_cannot_be_evaluated_refuses() -> None:
    assert told(spec(rule(ORDERED)), {"min": 1}) == [
        ("FieldValueInvalid", "spec", f'Invalid value: "object": no such key: max evaluating rule: {ORDERED}')
    ]


def test_values_have_the_types_of_their_schema() -> None:
    schema = spec(
        rule("self.share < 1.5"),
        rule("self.until > timestamp('2026-01-01T00:00:00Z')"),
        rule("type(self.port) == int ? self.port > 0 : self.port != ''"),
    )
    assert told(schema, {"share": 1, "until": "2026-06-01T00:00:00Z", "port": "http"}) == []
    assert len(told(schema, {"share": 2, "until": "2025-06-01T00:00:00Z", "port": 0})) == 3


@pytest.mark.parametrize(
    ("schema", "source", "good", "bad"),
    [
        ({"format": "date-time"}, "self.getFullYear() == 2026", "2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ({"format": "duration"}, "duration('1m') <= self && self < duration('1h')", "5m", "1s"),
        ({"format": "byte"}, "size(self) == 1 && self == b'a'", "YQ==", "YWI="),
    ],
)
def test_a_rule_of_a_text_with_a_format_sees_what_the_text_stands_for(
    schema: dict[str, Any], source: str, good: str, bad: str
) -> None:
    value = {"type": "string", **schema, "x-kubernetes-validations": [rule(source, message="no")]}
    assert list(check_rules(spec(value=value), "schema")) == []
    assert told(spec(value=value), {"value": good}) == []
    assert [field for _, field, _ in told(spec(value=value), {"value": bad})] == ["spec.value"]


def test_rules_at_the_root_see_the_name() -> None:
    schema = {**spec(), "x-kubernetes-validations": [rule("self.metadata.name.startsWith('x')")]}
    assert [field for _, field, _ in told(schema, {})] == ["<nil>"]


def test_transition_rules_need_a_state_before() -> None:
    schema = spec(rule("self.min >= oldSelf.min", message="may not sink"))
    assert told(schema, {"min": 1}) == []
    assert told(schema, {"min": 2}, {"min": 1}) == []
    assert told(schema, {"min": 1}, {"min": 2}) == [
        ("FieldValueInvalid", "spec", 'Invalid value: "object": may not sink')
    ]


def test_an_optional_old_state_lets_a_rule_see_creation() -> None:
    schema = spec(rule("oldSelf.hasValue() || self.min == 0", optionalOldSelf=True, message="begins at 0"))
    assert told(schema, {"min": 1}) == [("FieldValueInvalid", "spec", 'Invalid value: "object": begins at 0')]
    assert told(schema, {"min": 1}, {"min": 0}) == []


def test_what_has_not_changed_is_not_judged_again() -> None:
    schema = spec(rule(ORDERED), list={"type": "array", "items": {"type": "integer"}})
    assert told(schema, {"min": 2, "max": 1}, {"min": 2, "max": 1}) == []
    assert told(schema, {"min": 2, "max": 1, "list": [1]}, {"min": 2, "max": 1}) != []


def test_rules_of_elements_and_values() -> None:
    element = {"type": "integer", "x-kubernetes-validations": [rule("self > 0", message="too small")]}
    schema = spec(
        list={"type": "array", "items": element},
        map={"type": "object", "additionalProperties": element},
    )
    assert [field for _, field, _ in told(schema, {"list": [1, 0], "map": {"a": 0, "b": 1}})] == [
        "spec.list[1]",
        "spec.map.a",
    ]


def test_elements_of_a_map_list_are_told_apart_by_their_keys() -> None:
    item = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
        "x-kubernetes-validations": [rule("self.size >= oldSelf.size", message="may not shrink")],
    }
    listed = {
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    }
    schema = spec(list=listed)
    old = {"list": [{"name": "a", "size": 1}, {"name": "b", "size": 5}]}
    new = {"list": [{"name": "b", "size": 4}, {"name": "a", "size": 2}, {"name": "c", "size": 0}]}
    assert [field for _, field, _ in told(schema, new, old)] == ["spec.list[0]"]


def test_what_a_check_costs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUDGET", 500)
    element = {"type": "integer", "x-kubernetes-validations": [rule("self > 0")]}
    schema = spec(list={"type": "array", "items": element})
    found = told(schema, {"list": [1] * 1000})
    assert [message for _, _, message in found] == [
        'Invalid value: "integer": validation failed due to running out of cost budget, no further validation rules '
        "will be run"
    ]


def test_a_rule_that_iterates_too_long_ends_the_check() -> None:
    schema = spec(
        rule("self.list.all(x, self.list.exists_one(y, x == y))"),
        rule("false"),
        list={"type": "array", "items": {"type": "integer"}},
    )
    [(_, _, message)] = told(schema, {"list": [*range(200)]})
    assert "no further validation rules will be run due to call cost exceeds limit for rule" in message


LIST = {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}}


@pytest.mark.parametrize(
    ("schema", "field", "message"),
    [
        (spec(rule(" ")), "[0].rule", "Required value: rule is not specified"),
        (spec(rule("1 + 1")), "[0].rule", 'Invalid value: "1 + 1": compilation failed: must evaluate'),
        (
            spec(rule("self.nosuch == 1")),
            "[0].rule",
            "Invalid value: \"self.nosuch == 1\": compilation failed: ERROR: undefined field 'nosuch'",
        ),
        (
            spec(rule("self.min ==")),
            "[0].rule",
            'Invalid value: "self.min ==": compilation failed: ERROR: <input>:1:12',
        ),
        (
            spec(rule("true", messageExpression="1")),
            "[0].messageExpression",
            'Invalid value: "1": messageExpression compilation failed: must evaluate to a string, not a int',
        ),
        (spec(rule("true", message=" ")), "[0].message", 'Invalid value: " ": message must be non-empty if specified'),
        (
            spec(rule("true", message="a\nb")),
            "[0].message",
            'Invalid value: "a\\nb": message must not contain line breaks',
        ),
        (
            spec(rule("true ||\nfalse")),
            "[0].message",
            "Required value: message must be specified if rule contains line breaks",
        ),
        (spec(rule("true", reason="Bad")), "[0].reason", 'Unsupported value: "Bad": supported values: "FieldValueDup'),
        (
            spec(rule("true", fieldPath=".nosuch")),
            "[0].fieldPath",
            'Invalid value: ".nosuch": fieldPath must be a valid path: does not refer to a valid field',
        ),
        (
            spec(rule("true", optionalOldSelf=True)),
            "[0].optionalOldSelf",
            "Invalid value: true: option optionalOldSelf is forbidden if rule does not use oldSelf",
        ),
    ],
)
def test_a_definition_with_a_bad_rule_is_refused(schema: dict[str, Any], field: str, message: str) -> None:
    [cause] = check_rules(schema, "schema")
    assert cause.field == f"schema.properties[spec].x-kubernetes-validations{field}"
    assert cause.message.startswith(message)


def test_elements_that_cannot_be_told_apart_have_no_old_state() -> None:
    items = {**LIST["items"], "x-kubernetes-validations": [rule("self == oldSelf")]}  # type: ignore[dict-item]
    [cause] = check_rules(spec(list={"type": "array", "items": items}), "schema")
    assert cause.message.endswith("oldSelf cannot be used on the uncorrelatable portion of the schema")


def test_good_rules_are_let_through() -> None:
    schema = spec(rule(ORDERED, messageExpression="'a'", fieldPath=".min"), rule("self.min >= oldSelf.min"), list=LIST)
    assert list(check_rules(schema, "schema")) == []
