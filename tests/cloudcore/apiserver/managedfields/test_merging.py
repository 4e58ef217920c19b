from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.kinds import builtin_kinds
from cloudcore.apiserver.managedfields.comparing import applied_fields
from cloudcore.apiserver.managedfields.merging import merge, prune, without_nulls
from cloudcore.apiserver.managedfields.shapes import shape_of

POD = shape_of(builtin_kinds().of("pods"))


def named(*names: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name} for name in names]}}


def order(body: dict[str, Any]) -> str:
    return "".join(item["name"] for item in body["spec"]["containers"])


@pytest.mark.parametrize(
    ("live", "stated", "merged"),
    [
        ("abc", "abc", "abc"),
        ("abc", "cab", "cab"),
        ("axb", "ba", "bxa"),
        ("xay", "b", "xayb"),
        ("", "ab", "ab"),
        ("xy", "", "xy"),
        ("ab", "nab", "nab"),
        ("abx", "bn", "abxn"),
    ],
)
def test_stated_elements_keep_their_order_and_others_their_place(live: str, stated: str, merged: str) -> None:
    result = merge(named(*live), named(*stated), POD)
    if (live, stated) == ("abx", "bn"):
        assert order(result) in {"abxn", "abnx"}
        return
    assert order(result) == merged


def test_elements_merge_and_whole_values_are_replaced() -> None:
    live = {"spec": {"containers": [{"name": "a", "image": "i", "command": ["x"]}], "nodeSelector": {"a": "1"}}}
    stated = {"spec": {"containers": [{"name": "a", "image": "j"}], "nodeSelector": {"b": "2"}}}
    merged = merge(live, stated, POD)
    assert merged["spec"] == {
        "containers": [{"name": "a", "image": "j", "command": ["x"]}],
        "nodeSelector": {"b": "2"},
    }
    assert live["spec"]["nodeSelector"] == {"a": "1"}


def pruned(body: dict[str, Any], before: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    return prune(body, applied_fields(before, POD), applied_fields(kept, POD), POD)


def test_what_is_no_longer_stated_goes() -> None:
    body = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"hostname": "h", "subdomain": "s"}}
    before = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"hostname": "h"}}
    left = pruned(body, before, {"metadata": {"labels": {"a": "1"}}})
    assert left == {"metadata": {"labels": {"a": "1"}}, "spec": {"subdomain": "s"}}


def test_a_map_with_nothing_left_goes() -> None:
    body = {"metadata": {"labels": {"a": "1"}}, "spec": {"hostname": "h"}}
    assert pruned(body, {"metadata": {"labels": {"a": "1"}}}, {}) == {"spec": {"hostname": "h"}}


def test_an_element_goes_with_what_defaults_put_into_it() -> None:
    body = {"spec": {"containers": [{"name": "a", "image": "i", "imagePullPolicy": "Always"}, {"name": "b"}]}}
    before = {"spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b"}]}}
    assert pruned(body, before, named("b")) == named("b")


def test_an_element_in_which_others_own_something_stays_and_keeps_its_name() -> None:
    body = {"spec": {"containers": [{"name": "a", "image": "i", "workingDir": "/"}]}}
    before = {"spec": {"containers": [{"name": "a", "workingDir": "/"}]}}
    kept: dict[str, Any] = {"f:spec": {"f:containers": {'k:{"name":"a"}': {"f:image": {}}}}}
    left = prune(body, applied_fields(before, POD), kept, POD)
    assert left == {"spec": {"containers": [{"name": "a", "image": "i"}]}}


def test_elements_of_sets_go_one_by_one() -> None:
    body = {"metadata": {"finalizers": ["a/b", "c/d", "e/f"]}}
    before = {"metadata": {"finalizers": ["a/b", "c/d"]}}
    assert pruned(body, before, {"metadata": {"finalizers": ["a/b"]}}) == {"metadata": {"finalizers": ["a/b", "e/f"]}}


def test_nulls_state_nothing() -> None:
    assert without_nulls({"a": None, "b": [{"c": None, "d": 1}]}) == {"b": [{"d": 1}]}
