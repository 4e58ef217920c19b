from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.kinds import builtin_kinds
from cloudcore.apiserver.managedfields.comparing import applied_fields, compare, created_fields
from cloudcore.apiserver.managedfields.shapes import Shape, shape_of
from cloudcore.errors import BadRequest
from tests.support.registries import a_deployment

KINDS = builtin_kinds()
DEPLOYMENT = shape_of(KINDS.of("deployments.apps"))
SERVICE = shape_of(KINDS.of("services"))
CONFIGMAP = shape_of(KINDS.of("configmaps"))
POD = shape_of(KINDS.of("pods"))
APP = 'k:{"name":"app"}'


def containers(*images: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, "image": image} for name, image in zip("ab", images, strict=False)]}}


def test_a_creator_owns_what_is_there_but_names_and_types() -> None:
    body = a_deployment()
    body |= {"apiVersion": "apps/v1", "kind": "Deployment"}
    fields = created_fields(body, DEPLOYMENT)
    spec = fields["f:spec"]
    assert set(fields) == {"f:spec"}
    assert spec["f:selector"] == {}
    template = spec["f:template"]
    assert template["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
    assert template["f:spec"]["f:containers"] == {".": {}, APP: {".": {}, "f:image": {}, "f:name": {}}}


def test_an_applier_owns_what_it_states_and_no_more() -> None:
    config = {"metadata": {"name": "x", "labels": {"a": "1"}}, "data": {"k": "v"}}
    assert applied_fields(config, CONFIGMAP) == {"f:metadata": {"f:labels": {"f:a": {}}}, "f:data": {"f:k": {}}}
    fields = applied_fields(containers("i"), POD)
    assert fields == {"f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:image": {}}}}}


def test_an_absent_key_has_its_default() -> None:
    fields = applied_fields({"spec": {"ports": [{"port": 80}]}}, SERVICE)
    assert list(fields["f:spec"]["f:ports"]) == ['k:{"port":80,"protocol":"TCP"}']


def test_elements_of_sets_and_whole_values() -> None:
    body = {
        "metadata": {"finalizers": ["b/a", "c/d"]},
        "spec": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "x"}]},
    }
    fields = applied_fields(body, POD)
    assert fields["f:metadata"]["f:finalizers"] == {'v:"b/a"': {}, 'v:"c/d"': {}}
    assert fields["f:spec"] == {"f:nodeSelector": {}, "f:tolerations": {}}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"spec": {"colour": "red"}}, r"\.spec\.colour: field not declared in schema"),
        ({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}, "duplicate entries"),
        ({"spec": {"containers": [{"image": "a"}]}}, "lacks its keys"),
        ({"spec": {"containers": ["a"]}}, "lacks its keys"),
    ],
)
def test_what_the_schema_does_not_have_cannot_be_applied(config: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        applied_fields(config, POD)


def test_changes_are_told_apart() -> None:
    old = {"metadata": {"labels": {"a": "1"}}, **containers("one", "two")}
    new = {"metadata": {"annotations": {"n": "x"}}, **containers("other")}
    changed = compare(old, new, POD)
    a, b = 'k:{"name":"a"}', 'k:{"name":"b"}'
    assert changed.modified == {"f:spec": {"f:containers": {a: {"f:image": {}}}}}
    assert changed.added == {"f:metadata": {"f:annotations": {".": {}, "f:n": {}}}}
    assert changed.removed["f:metadata"] == {"f:labels": {".": {}, "f:a": {}}}
    assert changed.removed["f:spec"]["f:containers"] == {b: {".": {}, "f:name": {}, "f:image": {}}}


def test_order_of_elements_with_an_identity_is_no_change() -> None:
    one = containers("i", "j")
    other = {"spec": {"containers": list(reversed(one["spec"]["containers"]))}}
    changed = compare(one, other, POD)
    assert not changed.removed
    assert not changed.written


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"a": "2"}}),
        ({"tolerations": [{"key": "x"}]}, {"tolerations": []}),
        ({"containers": [{"name": "a"}, {"name": "a"}]}, {"containers": [{"name": "a"}]}),
    ],
)
def test_what_has_no_parts_changes_as_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    changed = compare({"spec": old}, {"spec": new}, POD)
    assert changed.modified == {"f:spec": {f"f:{next(iter(old))}": {}}}
    assert not changed.added
    assert not changed.removed


def test_without_a_schema_objects_have_parts_and_lists_do_not() -> None:
    shape = Shape(None)
    assert applied_fields({"spec": {"a": {"b": [1]}}}, shape) == {"f:spec": {".": {}, "f:a": {".": {}, "f:b": {}}}}
