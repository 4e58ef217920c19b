from __future__ import annotations

import asyncio

import pytest

from cloudcore.apiserver.kinds import builtin_kinds
from cloudcore.apiserver.selection import field_value, select, selected
from cloudcore.errors import BadRequest
from cloudcore.store.base import Record, encode
from protocol.objects.keys import Body, ObjectKey, Revision, Uid

PODS = builtin_kinds().of("pods")
NODES = builtin_kinds().of("nodes")
EVENTS = builtin_kinds().of("events")


def record(body: Body) -> Record:
    metadata = body["metadata"]
    return Record(ObjectKey("pods", "default", metadata["name"]), Uid("u"), Revision(5), Revision(5), encode(body))


def test_nothing_asked_selects_everything() -> None:
    assert select(PODS).is_everything
    assert select(PODS).selects(record({"metadata": {"name": "a"}}))


@pytest.mark.parametrize("value", ['a"b', "a\\b", "ünder"])
def test_values_that_json_writes_otherwise_are_still_found(value: str) -> None:
    selection = select(PODS, field_selector=f"spec.nodeName={value}")
    assert selection.selects(record({"metadata": {"name": "a"}, "spec": {"nodeName": value}}))


def test_a_value_that_stands_elsewhere_does_not_select() -> None:
    selection = select(PODS, label_selector="app=web")
    assert not selection.selects(record({"metadata": {"name": "a", "annotations": {"app": "web"}}}))
    assert selection.selects(record({"metadata": {"name": "a", "labels": {"app": "web"}}}))


@pytest.mark.parametrize(
    ("text", "selected"),
    [("app", True), ("!app", False), ("app in (web, db)", True), ("app notin (web)", False), ("app!=db", True)],
)
def test_set_based_selectors(text: str, selected: bool) -> None:
    assert (
        select(PODS, label_selector=text).selects(record({"metadata": {"name": "a", "labels": {"app": "web"}}}))
        is selected
    )


def test_absent_fields_have_their_kinds_stand_in() -> None:
    assert field_value(NODES, {"metadata": {}}, "spec.unschedulable") == "false"
    assert field_value(NODES, {"spec": {"unschedulable": True}}, "spec.unschedulable") == "true"
    assert field_value(PODS, {"spec": {}}, "spec.nodeName") == ""
    assert field_value(EVENTS, {"source": {"component": "kubelet"}}, "source") == "kubelet"


def test_an_unsupported_field_is_named() -> None:
    with pytest.raises(BadRequest, match=r"field label not supported: spec\.color"):
        select(PODS, field_selector="spec.color=red")


def test_two_names_select_nothing() -> None:
    selection = select(PODS, field_selector="metadata.name=b", name="a")
    assert not selection.selects(record({"metadata": {"name": "a"}}))


def test_numbers_are_found_though_json_does_not_quote_them() -> None:
    kind = builtin_kinds().of("replicasets.apps")
    body = {"metadata": {"name": "a"}, "status": {"replicas": 3}}
    assert select(kind, field_selector="status.replicas=3").selects(record(body))
    assert not select(kind, field_selector="status.replicas=4").selects(record(body))


async def test_looking_into_many_objects_lets_others_run() -> None:
    records = [record({"metadata": {"name": f"p{n}"}}) for n in range(1500)]
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    try:
        assert len(await selected(select(PODS, label_selector="!app"), records)) == 1500
        assert turns >= 3
        assert len(await selected(select(PODS), records, limit=2)) == 2
    finally:
        task.cancel()
