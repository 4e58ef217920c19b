from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.apiserver.validation.mergerules import merge_rules
from protocol.objects.patches import (
    MAX_OPERATIONS,
    PatchFailed,
    PatchMalformed,
    json_patch,
    merge_patch,
    strategic_merge,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)
PLAIN = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.none() | st.integers(),
        lambda inner: st.lists(st.integers(), max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)
POD_SPEC = merge_rules("io.k8s.api.core.v1.PodSpec")
META = merge_rules("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
DEPLOYMENT_SPEC = merge_rules("io.k8s.api.apps.v1.DeploymentSpec")
POD_STATUS = merge_rules("io.k8s.api.core.v1.PodStatus")


# The table of RFC 7386, appendix A.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_the_rfcs_examples(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_changes_neither_argument_and_is_idempotent(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    once = merge_patch(target, patch)
    assert (target, patch) == before
    assert merge_patch(once, patch) == once


@given(OBJECTS, OBJECTS)
def test_a_json_patch_leaves_its_target_alone(target: Any, value: Any) -> None:
    before = copy.deepcopy(target)
    patched = json_patch(target, [{"op": "add", "path": "/new", "value": value}])
    assert patched == {**before, "new": value}
    assert target == before


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        ({"op": "add"}, PatchMalformed),
        ([{"op": "leap", "path": "/a"}], PatchMalformed),
        ([{"path": "/a"}], PatchMalformed),
        (["add"], PatchMalformed),
        ([{"op": "add", "path": "/b"}], PatchMalformed),
        ([{"op": "add", "path": 5, "value": 1}], PatchMalformed),
        ([{"op": "add", "path": "a", "value": 1}], PatchFailed),
        ([{"op": "remove", "path": "/b"}], PatchFailed),
        ([{"op": "test", "path": "/a", "value": 2}], PatchFailed),
        ([{"op": "replace", "path": "", "value": 7}], PatchFailed),
        ([{"op": "add", "path": "/a/b/c", "value": 7}], PatchFailed),
        ([{"op": "copy", "path": "/b"}], PatchMalformed),
        ([{"op": "move", "from": 7, "path": "/b"}], PatchMalformed),
        ([{"op": "test", "path": "/a", "value": True}], PatchFailed),
    ],
)
def test_bad_json_patches_are_told_apart(operations: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        json_patch({"a": 1}, operations)


def strategic(target: Any, patch: Any, rules: Any = POD_SPEC) -> Any:
    before = copy.deepcopy((target, patch))
    result = strategic_merge(target, patch, rules)
    assert (target, patch) == before
    return result


def test_maps_merge_and_null_removes() -> None:
    result = strategic({"nodeSelector": {"a": "1", "b": "2"}}, {"nodeSelector": {"a": None, "c": "3"}})
    assert result == {"nodeSelector": {"b": "2", "c": "3"}}


def test_elements_merge_by_key_and_new_ones_are_appended() -> None:
    base = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    result = strategic(base, {"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]})
    assert result["containers"] == [
        {"name": "a", "image": "1"},
        {"name": "b", "image": "2"},
        {"name": "c", "image": "3"},
    ]


def test_merging_goes_down_through_lists() -> None:
    base = {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}]}]}
    result = strategic(base, {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]})
    assert result["containers"][0]["env"] == [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]


def test_an_element_is_deleted_by_its_key() -> None:
    base = {"containers": [{"name": "a"}, {"name": "b"}]}
    assert strategic(base, {"containers": [{"name": "a", "$patch": "delete"}]}) == {"containers": [{"name": "b"}]}


def test_a_list_is_replaced_whole_on_demand() -> None:
    base = {"containers": [{"name": "a"}, {"name": "b"}]}
    result = strategic(base, {"containers": [{"name": "c"}, {"$patch": "replace"}]})
    assert result == {"containers": [{"name": "c"}]}


def test_a_map_is_replaced_or_deleted_on_demand() -> None:
    base = {"securityContext": {"runAsUser": 1, "fsGroup": 2}, "hostname": "x"}
    assert strategic(base, {"securityContext": {"$patch": "replace", "runAsUser": 5}}) == {
        "securityContext": {"runAsUser": 5},
        "hostname": "x",
    }
    assert strategic(base, {"securityContext": {"$patch": "delete"}}) == {"hostname": "x"}


def test_a_list_without_a_merge_key_is_replaced() -> None:
    base = {"containers": [{"name": "a", "args": ["1", "2"]}]}
    assert strategic(base, {"containers": [{"name": "a", "args": ["3"]}]})["containers"][0]["args"] == ["3"]


def test_scalars_of_a_merged_list_are_a_set() -> None:
    base = {"finalizers": ["a", "b"]}
    assert strategic(base, {"finalizers": ["b", "c"]}, META) == {"finalizers": ["a", "b", "c"]}
    assert strategic(base, {"$deleteFromPrimitiveList/finalizers": ["a"]}, META) == {"finalizers": ["b"]}
    both = {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}
    assert strategic(base, both, META) == {"finalizers": ["b", "c"]}


def test_the_order_of_elements_can_be_set() -> None:
    base = {"containers": [{"name": "a"}, {"name": "b"}]}
    patch = {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
        "containers": [{"name": "c", "image": "x"}],
    }
    assert [each["name"] for each in strategic(base, patch)["containers"]] == ["c", "b", "a"]
    alone = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}
    assert [each["name"] for each in strategic(base, alone)["containers"]] == ["b", "a"]


def test_elements_the_order_does_not_name_stay_where_they_were() -> None:
    base = {"containers": [{"name": "a"}, {"name": "server-side"}, {"name": "b"}]}
    patch = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}
    assert [each["name"] for each in strategic(base, patch)["containers"]] == ["b", "a", "server-side"]


def test_retained_keys_clear_the_others() -> None:
    base = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    assert strategic(base, patch, DEPLOYMENT_SPEC) == {"strategy": {"type": "Recreate"}}


def test_conditions_merge_by_type() -> None:
    base = {"conditions": [{"type": "Ready", "status": "False", "reason": "x"}]}
    patch = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]}
    assert strategic(base, patch, POD_STATUS)["conditions"] == [
        {"type": "Ready", "status": "True", "reason": "x"},
        {"type": "Initialized", "status": "True"},
    ]


def test_directives_do_not_reach_the_result() -> None:
    patch = {"containers": [{"name": "a", "$setElementOrder/env": [], "resources": {"$patch": "merge"}}]}
    assert strategic({}, patch) == {"containers": [{"name": "a", "resources": {}}]}


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "shuffle"},
        {"containers": [{"image": "x"}]},
        {"containers": ["x"]},
        {"$retainKeys": "type"},
        {"$setElementOrder/containers": {"name": "a"}, "containers": []},
        {"$deleteFromPrimitiveList/finalizers": "a"},
    ],
)
def test_a_malformed_strategic_patch_is_refused(patch: Any) -> None:
    with pytest.raises(PatchMalformed):
        strategic({"containers": [{"name": "a"}], "finalizers": ["a"]}, patch)


@given(PLAIN, PLAIN)
def test_without_rules_a_strategic_patch_is_a_merge_patch(target: Any, patch: Any) -> None:
    assert strategic_merge(target, patch, merge_rules("")) == merge_patch(target, patch)


def test_odd_elements_are_compared_not_hashed() -> None:
    assert strategic({"finalizers": []}, {"finalizers": [{}, {}]}, META) == {"finalizers": [{}]}


def test_copies_that_double_the_object_are_refused() -> None:
    double = {"op": "copy", "from": "/x", "path": "/x/-"}
    with pytest.raises(PatchFailed, match="copies more than"):
        json_patch({}, [{"op": "add", "path": "/x", "value": [1] * 10}, *([double] * 60)])


def test_copies_within_the_bound_are_made() -> None:
    assert json_patch({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}]) == {"a": [1], "b": [1]}


def test_a_json_patch_has_a_bounded_number_of_operations() -> None:
    operations = [{"op": "test", "path": "/a", "value": 1}] * (MAX_OPERATIONS + 1)
    with pytest.raises(PatchMalformed, match="at most"):
        json_patch({"a": 1}, operations)


@pytest.mark.parametrize("depth", [300, 5000])
def test_a_value_that_nests_beyond_what_can_be_copied_is_refused(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    with pytest.raises(PatchFailed, match="nests too deep"):
        json_patch({"a": 1}, [{"op": "add", "path": "/b", "value": value}, {"op": "copy", "from": "/b", "path": "/c"}])


@pytest.mark.parametrize("directive", [[], {}, 5, "other"])
def test_a_directive_of_any_other_type_is_malformed(directive: Any) -> None:
    with pytest.raises(PatchMalformed, match="unrecognized directive"):
        strategic_merge({}, {"$patch": directive}, POD_SPEC)


class CountedRules:
    """Rules of a list merged by name; counts how often one of its elements is looked at."""

    merge_key = "name"
    strategies = frozenset({"merge"})

    @property
    def items(self) -> CountedRules:
        return self

    def field(self, name: str) -> CountedRules:
        return self


class CountedName(dict[str, Any]):
    looks = 0

    def get(self, key: str, default: Any = None) -> Any:
        CountedName.looks += 1
        return super().get(key, default)


def test_merging_long_lists_looks_at_each_element_a_few_times_only() -> None:
    CountedName.looks = 0
    base = [CountedName(name=str(number)) for number in range(300)]
    patch = {"list": [{"name": str(number)} for number in range(600)]}
    merged = strategic_merge({"list": base}, patch, CountedRules())
    assert [element["name"] for element in merged["list"]] == [str(number) for number in range(600)]
    assert CountedName.looks <= 10 * len(base)


def test_elements_with_one_key_are_deleted_together_and_may_come_anew() -> None:
    rules = CountedRules()
    base = {"list": [{"name": "a", "n": 1}, {"name": "b"}, {"name": "a", "n": 2}]}
    patch = {"list": [{"name": "a", "$patch": "delete"}, {"name": "a", "n": 3}]}
    assert strategic_merge(base, patch, rules) == {"list": [{"name": "b"}, {"name": "a", "n": 3}]}
