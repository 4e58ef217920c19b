from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.metaserver.failures import Failure
from edgecore.metaserver.history import History
from protocol.objects.keys import Body, ObjectKey


def key(name: str = "a") -> ObjectKey:
    return ObjectKey("configmaps", "default", name)


def body(name: str = "a", value: str = "1", uid: str = "u1", **labels: str) -> Body:
    return {"metadata": {"name": name, "namespace": "default", "uid": uid, "labels": labels}, "data": {"v": value}}


def test_a_change_has_a_revision_of_its_own_and_a_repeat_has_none() -> None:
    history = History(100)
    assert history.observe(key(), body())
    assert not history.observe(key(), body())
    assert history.observe(key(), body(value="2"))
    assert history.revision == history.revision_of(key()) == 102
    assert [json.loads(each.data)["metadata"]["resourceVersion"] for each in history.since(100)] == ["101", "102"]


def test_another_uid_under_a_name_is_a_deletion_and_a_creation() -> None:
    history = History(0)
    history.observe(key(), body())
    history.observe(key(), body(uid="u2"), body())
    first, gone, new = history.since(0)
    assert (first.before, gone.after, new.before) == (None, None, None)
    assert json.loads(gone.data)["metadata"]["uid"] == "u1"


@pytest.mark.parametrize("revision", [99, 200])
def test_revisions_of_another_life_make_a_watcher_list_again(revision: int) -> None:
    with pytest.raises(Failure) as expired:
        History(100).since(revision)
    assert expired.value.code == 410


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "1", "2"])), max_size=60))
def test_whoever_reads_on_from_any_kept_place_ends_with_what_is_there(steps: list[tuple[str, str]]) -> None:
    history = History(10, max_changes=20)
    there: dict[str, str] = {}
    seen_at: dict[int, dict[str, str]] = {10: {}}
    for name, value in steps:
        history.observe(key(name), body(name, value) if value else None, None)
        there = {**there, name: value} if value else {other: v for other, v in there.items() if other != name}
        seen_at[history.revision] = there
        history.check_invariants()
    for revision, state in seen_at.items():
        try:
            changes = history.since(revision)
        except Failure:
            continue
        now = dict(state)
        for change in changes:
            now.pop(change.key.name, None)
            if change.after is not None:
                now[change.key.name] = json.loads(change.data)["data"]["v"]
        assert now == there


def test_bytes_bound_what_is_kept_and_the_newest_change_always_is() -> None:
    history = History(0, max_bytes=500)
    for number in range(20):
        history.observe(key(), body(value=str(number) * 100))
        history.check_invariants()
    assert history.since(history.revision - 1)
    with pytest.raises(Failure):
        history.since(1)
