from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.objects.patches import PatchFailed, json_patch

DOCUMENT: Any = {"a": {"b": [1, 2, {"c": None}]}, "x/y": 1, "m~n": 2, "": 3}


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ({"op": "add", "path": "/a/b/-", "value": 9}, lambda d: d["a"]["b"].append(9)),
        ({"op": "add", "path": "/a/b/3", "value": 9}, lambda d: d["a"]["b"].append(9)),
        ({"op": "add", "path": "/a/b/0", "value": 9}, lambda d: d["a"]["b"].insert(0, 9)),
        ({"op": "add", "path": "/x~1y", "value": 9}, lambda d: d.update({"x/y": 9})),
        ({"op": "remove", "path": "/m~0n"}, lambda d: d.pop("m~n")),
        ({"op": "remove", "path": "/"}, lambda d: d.pop("")),
        ({"op": "remove", "path": "/a/b/2/c"}, lambda d: d["a"]["b"][2].pop("c")),
        ({"op": "replace", "path": "/a/b/1", "value": []}, lambda d: d["a"]["b"].__setitem__(1, [])),
        ({"op": "move", "from": "/a/b/0", "path": "/a/b/2"}, lambda d: d["a"]["b"].insert(2, d["a"]["b"].pop(0))),
        ({"op": "move", "from": "/a", "path": "/a"}, lambda d: d),
        ({"op": "copy", "from": "/a/b/2", "path": "/z"}, lambda d: d.update(z={"c": None})),
        ({"op": "test", "path": "/a/b", "value": [1.0, 2, {"c": None}]}, lambda d: d),
    ],
)
def test_each_operation_does_what_the_rfc_says(operation: Any, change: Any) -> None:
    expected = copy.deepcopy(DOCUMENT)
    change(expected)
    assert json_patch(DOCUMENT, [operation]) == expected


@pytest.mark.parametrize("path", ["/a/b/4", "/a/b/01", "/a/b/-1", "/a/b/+1", "/a/b/1e0", "/a/b/x", "/a/b/٣", "/x~1y/z"])
def test_an_index_is_a_plain_number_within_the_list(path: str) -> None:
    for operation in ({"op": "add", "path": path, "value": 1}, {"op": "remove", "path": path}):
        with pytest.raises(PatchFailed):
            json_patch(DOCUMENT, [operation])


def test_a_value_cannot_be_moved_into_itself() -> None:
    with pytest.raises(PatchFailed, match="into itself"):
        json_patch(DOCUMENT, [{"op": "move", "from": "/a", "path": "/a/b/0"}])


def test_a_copy_does_not_share_what_it_copies() -> None:
    operations = [{"op": "copy", "from": "/a", "path": "/z"}, {"op": "add", "path": "/z/b/-", "value": 1}]
    assert json_patch(DOCUMENT, operations)["a"] == DOCUMENT["a"]


NAMES = st.sampled_from(["a", "b", "~", "/", ""])
VALUES = st.recursive(st.integers(0, 3) | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))


@given(st.dictionaries(NAMES, VALUES), NAMES, VALUES)
def test_what_was_added_is_found_and_removed_again(document: Any, name: str, value: Any) -> None:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    added = [{"op": "add", "path": pointer, "value": value}, {"op": "test", "path": pointer, "value": value}]
    without = {key: each for key, each in document.items() if key != name}
    assert json_patch(document, [*added, {"op": "remove", "path": pointer}]) == without
