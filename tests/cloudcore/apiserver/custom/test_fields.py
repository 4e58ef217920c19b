from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.custom.fields import escape, unknown_fields, with_resource_fields, with_times

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "a-b": {"type": "string"},
                "until": {"type": "string", "format": "date-time"},
                "day": {"type": "string", "format": "date"},
                "for": {"type": "string", "format": "duration"},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
                "list": {"type": "array", "items": {"type": "string"}},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("plain", "plain"),
        ("for", "__for__"),
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("a__b", "a__underscores__b"),
    ],
)
def test_names_are_spelt_so_that_rules_can_say_them(name: str, spelt: str) -> None:
    assert escape(name) == spelt


@pytest.mark.parametrize(
    ("rule", "unknown"),
    [
        ("self.spec.a__dash__b == 'self.nosuch'", []),
        ("self.spec.nosuch == 1 || oldSelf.other", ["nosuch", "other"]),
        ("self.spec.open.anything.goes", []),
        ("self.spec.map.key == ''", []),
        ("self.spec.list.size() > 0 && self.spec.list.all(x, x.nosuch)", []),
        ("has(self.spec.missing)", ["missing"]),
        ("myself.other == 1", []),
        ("self.metadata.name == 'a' && self.kind == 'K'", []),
        ("self.metadata.labels.size() > 0", ["labels"]),
    ],
)
def test_fields_that_the_schema_does_not_have_are_found(rule: str, unknown: list[str]) -> None:
    assert list(unknown_fields(with_resource_fields(SCHEMA), rule)) == unknown


@pytest.mark.parametrize(
    ("rule", "converted"),
    [
        ("self.spec.until > self.spec.a__dash__b", "timestamp(self.spec.until) > self.spec.a__dash__b"),
        (
            "self.spec.day > oldSelf.spec.day",
            "timestamp(self.spec.day + 'T00:00:00Z') > timestamp(oldSelf.spec.day + 'T00:00:00Z')",
        ),
        ("has(self.spec.until) && 'self.spec.until' != ''", "has(self.spec.until) && 'self.spec.until' != ''"),
        ("self.spec.__for__ > duration('1m')", "duration(self.spec.__for__) > duration('1m')"),
    ],
)
def test_times_are_read_as_times(rule: str, converted: str) -> None:
    assert with_times(SCHEMA, rule) == converted
