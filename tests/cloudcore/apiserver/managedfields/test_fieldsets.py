from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.apiserver.managedfields.fieldsets import (
    FieldSet,
    below,
    difference,
    intersection,
    is_field_set,
    is_member,
    paths,
    union,
)

STEPS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}'])
Path = tuple[str, ...]


def members(fields: FieldSet, prefix: Path = ()) -> set[Path]:
    found: set[Path] = set()
    for step, node in fields.items():
        path = (*prefix, step)
        found |= {path} if is_member(node) else set()
        found |= members(below(node), path)
    return found


def made(wanted: set[Path]) -> FieldSet:
    fields: FieldSet = {}
    for path in wanted:
        node = fields
        for step in path:
            node = node.setdefault(step, {})
        node["."] = {}
    return tidied(fields)


def tidied(fields: FieldSet) -> FieldSet:
    """Write a member without anything below as Kubernetes does: as an empty node."""
    return {
        step: {} if set(node) == {"."} else {"." if each == "." else each: child for each, child in tidied_node(node)}
        for step, node in fields.items()
    }


def tidied_node(node: FieldSet) -> list[tuple[str, Any]]:
    rest = tidied({step: child for step, child in node.items() if step != "."})
    return [*([(".", {})] if "." in node else []), *rest.items()]


SETS = st.sets(st.lists(STEPS, min_size=1, max_size=3).map(tuple), max_size=6)


@given(SETS, SETS)
def test_the_operations_are_those_of_sets(one: set[Path], other: set[Path]) -> None:
    a, b = made(one), made(other)
    assert members(a) == one
    assert members(union(a, b)) == one | other
    assert members(difference(a, b)) == one - other
    assert members(intersection(a, b)) == one & other
    assert (a, b) == (made(one), made(other))


@given(SETS, SETS)
def test_results_hold_nothing_that_is_not_a_member_or_on_the_way_to_one(one: set[Path], other: set[Path]) -> None:
    a, b = made(one), made(other)
    assert union(a, b) == made(one | other)
    assert difference(a, b) == made(one - other)
    assert intersection(a, b) == made(one & other)


def test_paths_read_as_people_write_them() -> None:
    fields: FieldSet = {"f:spec": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}}, 'v:"x"': {}}}
    assert list(paths(fields)) == [
        '.spec[port=80,protocol="TCP"]',
        '.spec[port=80,protocol="TCP"].name',
        '.spec[="x"]',
    ]


@pytest.mark.parametrize("value", [None, [], "x", {"x": {}}, {"f:a": None}, {"f:a": {"b": {}}}])
def test_what_is_no_set_is_told(value: object) -> None:
    assert not is_field_set(value)
    assert is_field_set({"f:a": {".": {}, "v:1": {}}})
