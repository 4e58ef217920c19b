from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.informers.cache import Cache
from cloudcore.informers.indexes import controller_uid, node_of_pod, orphan_namespace, owner_uids
from protocol.errors import LocalProtocolError
from protocol.objects.keys import Body, ObjectKey


def key(name: str) -> ObjectKey:
    return ObjectKey("pods", "default", name)


def pod(name: str, node: str = "") -> Body:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": node}}


def test_objects_are_found_by_key_and_by_index() -> None:
    cache = Cache("pods")
    cache.add_index("node", node_of_pod)
    cache.put(key("a"), pod("a", "n"))
    cache.put(key("b"), pod("b"))
    assert cache.get(key("a")) == pod("a", "n")
    assert cache.list(index="node", value="n") == [pod("a", "n")]
    assert len(cache.list(index="namespace", value="default")) == len(cache) == 2
    assert cache.list(index="node", value="elsewhere") == []
    assert list(cache.index_values("node")) == ["n"]


def test_an_index_added_late_holds_what_was_there() -> None:
    cache = Cache("pods")
    cache.put(key("a"), pod("a", "n"))
    cache.add_index("node", node_of_pod)
    cache.add_index("node", node_of_pod)
    assert cache.list(index="node", value="n") == [pod("a", "n")]


def test_misuse_of_indexes_is_refused() -> None:
    cache = Cache("pods")
    cache.add_index("node", node_of_pod)
    with pytest.raises(LocalProtocolError):
        cache.add_index("node", owner_uids)
    with pytest.raises(LocalProtocolError):
        cache.list(index="colour", value="red")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "n", "m", None])), max_size=40))
def test_an_index_always_equals_a_scan(steps: list[tuple[str, str | None]]) -> None:
    cache = Cache("pods")
    cache.add_index("node", node_of_pod)
    model: dict[ObjectKey, Body] = {}
    for name, node in steps:
        if node is None:
            assert cache.remove(key(name)) == model.pop(key(name), None)
        else:
            assert cache.put(key(name), pod(name, node)) == model.get(key(name))
            model[key(name)] = pod(name, node)
    for node in ("n", "m"):
        scanned = [body["metadata"]["name"] for body in model.values() if body["spec"]["nodeName"] == node]
        assert sorted(body["metadata"]["name"] for body in cache.list(index="node", value=node)) == sorted(scanned)
    assert set(cache.index_values("node")) == {body["spec"]["nodeName"] for body in model.values()} - {""}


def test_owners_are_indexed_by_role() -> None:
    owners = [{"uid": "c", "controller": True}, {"uid": "o"}]
    owned: Body = {"metadata": {"name": "x", "namespace": "d", "ownerReferences": owners}}
    assert (list(controller_uid(owned)), list(owner_uids(owned))) == (["c"], ["c", "o"])
    assert list(orphan_namespace(owned)) == []
    assert list(orphan_namespace({"metadata": {"name": "x", "namespace": "d"}})) == ["d"]
