from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.custom.pruning import apply_defaults, defaults_of, prune

OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "known": {"type": "string"},
                "open": {**OPEN, "properties": {"closed": {"type": "object"}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {}}}},
                "anything": {"type": "object", "additionalProperties": True},
                "list": {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
                "embedded": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": OPEN}},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("spec", "left", "dropped"),
    [
        ({"known": 1}, {"known": 1}, []),
        ({"other": 1}, {}, ["spec.other"]),
        (
            {"open": {"x": {"y": 1}, "closed": {"z": 1}}},
            {"open": {"x": {"y": 1}, "closed": {}}},
            ["spec.open.closed.z"],
        ),
        ({"map": {"k": {"a": 1, "b": 2}}}, {"map": {"k": {"a": 1}}}, ["spec.map.k.b"]),
        ({"anything": {"k": [1]}}, {"anything": {"k": [1]}}, []),
        ({"list": [{"a": 1}, {"b": 2}]}, {"list": [{"a": 1}, {}]}, ["spec.list[1].b"]),
        (
            {"embedded": {"apiVersion": "v1", "kind": "X", "metadata": {"name": "n"}, "spec": {"q": 1}, "more": 1}},
            {"embedded": {"apiVersion": "v1", "kind": "X", "metadata": {"name": "n"}, "spec": {"q": 1}}},
            ["spec.embedded.more"],
        ),
        ({"list": "of the wrong type"}, {"list": "of the wrong type"}, []),
    ],
)
def test_what_the_schema_does_not_know_is_dropped(
    spec: dict[str, Any], left: dict[str, Any], dropped: list[str]
) -> None:
    body = {"apiVersion": "g/v1", "kind": "K", "metadata": {"anything": 1}, "spec": spec, "extra": 1}
    assert prune(SCHEMA, body) == [*dropped, "extra"]
    assert body == {"apiVersion": "g/v1", "kind": "K", "metadata": {"anything": 1}, "spec": left}


DEFAULTED = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "default": {},
            "properties": {
                "replicas": {"type": "integer", "default": 1},
                "note": {"type": "string", "default": "none", "nullable": True},
                "list": {"type": "array", "items": {"type": "object", "properties": {"p": {"default": "TCP"}}}},
                "map": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "properties": {"q": {"default": 2}}},
                },
                "plain": {"type": "string"},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("body", "filled"),
    [
        ({}, {"spec": {"replicas": 1, "note": "none"}}),
        ({"spec": {"replicas": 5, "note": "x"}}, {"spec": {"replicas": 5, "note": "x"}}),
        ({"spec": {"replicas": None, "note": None}}, {"spec": {"replicas": 1, "note": None}}),
        (
            {"spec": {"list": [{}, {"p": "UDP"}], "map": {"k": {}}}},
            {
                "spec": {
                    "list": [{"p": "TCP"}, {"p": "UDP"}],
                    "map": {"k": {"q": 2}},
                    "replicas": 1,
                    "note": "none",
                }
            },
        ),
        ({"spec": "of the wrong type"}, {"spec": "of the wrong type"}),
    ],
)
def test_defaults_fill_what_is_absent(body: dict[str, Any], filled: dict[str, Any]) -> None:
    apply_defaults(defaults_of(DEFAULTED), body)
    assert body == filled


def test_defaults_are_not_shared_between_objects() -> None:
    defaults = defaults_of({"properties": {"list": {"default": [1]}}})
    one: dict[str, Any] = {}
    other: dict[str, Any] = {}
    apply_defaults(defaults, one)
    apply_defaults(defaults, other)
    one["list"].append(2)
    assert other == {"list": [1]}


def test_a_schema_without_defaults_needs_no_walk() -> None:
    assert defaults_of(SCHEMA) is None
