from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.metaserver.failures import Failure
from edgecore.metaserver.prediction import merge, predicted
from edgecore.metaserver.writefolder import WriteFolder
from edgecore.metaserver.writes import MAX_OF_A_POD, MAX_REFUSED, PREVIOUS, Author, Write, WriteQueue
from protocol.objects.keys import ObjectKey
from tests.support.examples import trying

AUTHOR = Author("default", "app", "web", "pod-uid")


def write(number: int, name: str = "a", *, verb: str = "update", version: int = 0, pod: str = "pod-uid") -> Write:
    key = ObjectKey("configmaps", "default", name)
    author = Author("default", "app", "web", pod)
    body = {"metadata": {"name": name}, "data": {"v": str(number)}}
    return Write(f"w{number}", float(number), author, verb, f"/api/{number}", key, body=body, version=version, size=10)


def test_a_follower_of_a_write_that_was_done_must_find_what_that_made() -> None:
    queue = WriteQueue([write(1), write(2, version=PREVIOUS), write(3, "b")])
    (follower,) = queue.settled("w1", 77)
    assert (follower.id, follower.version) == ("w2", 77)
    assert queue.head() == follower


def test_what_was_made_upon_a_refused_write_is_refused_with_it() -> None:
    queue = WriteQueue([write(1), write(2, version=PREVIOUS), write(3, version=PREVIOUS), write(4)])
    refused = queue.refuse("w1", 9.0, "Forbidden", "no")
    assert [(each.write.id, each.reason) for each in refused] == [
        ("w1", "Forbidden"),
        ("w2", "Conflict"),
        ("w3", "Conflict"),
    ]
    assert [each.id for each in queue] == ["w4"]


def test_one_pod_leaves_room_for_the_writes_of_others() -> None:
    queue = WriteQueue([write(number) for number in range(MAX_OF_A_POD)])
    with pytest.raises(Failure) as full:
        queue.require_room(write(-1))
    assert full.value.code == 429
    queue.require_room(write(-1, pod="other"))


def test_refused_writes_are_kept_in_a_bound_number() -> None:
    queue = WriteQueue([write(number) for number in range(MAX_REFUSED + 5)])
    for number in range(MAX_REFUSED + 5):
        queue.refuse(f"w{number}", 0.0, "Conflict", "")
    assert len(queue.refused) == MAX_REFUSED
    assert queue.refused[-1].write.id == f"w{MAX_REFUSED + 4}"


class Crash(Exception):
    """The power goes."""


@trying(60)
@given(st.lists(st.sampled_from(["write", "send", "crash in send", "lost answer", "refuse"]), max_size=30))
def test_no_write_is_lost_or_done_twice_wherever_the_agent_dies(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    root: Path = tmp_path_factory.mktemp("writes")
    folder = WriteFolder(root)
    queue = WriteQueue(*folder.load())
    done: list[str] = []
    made: list[str] = []
    refused: list[str] = []
    for number, step in enumerate([*steps, *["send"] * (len(steps) + 1)]):
        if step == "write":
            folder.keep(write(number))
            queue.add(write(number))
            made.append(f"w{number}")
            continue
        due = queue.head()
        if due is None:
            continue
        if step == "refuse" and due.id not in done:
            folder.refuse(queue.refuse(due.id, 1.0, "Conflict", ""), queue.refused)
            refused.append(due.id)
            continue
        if due.id not in done:  # the cloud knows a repeat by its id
            done.append(due.id)
        if step in {"crash in send", "lost answer"}:
            folder = WriteFolder(root)
            queue = WriteQueue(*folder.load())
            continue
        queue.settled(due.id, 1)
        folder.settled(due.id)
    assert len(queue) == 0
    assert done == [each for each in made if each not in refused]
    assert [each.write.id for each in WriteFolder(root).load()[1]] == refused
    assert WriteFolder(root).load()[0] == []


def test_a_crash_between_refusing_and_forgetting_leaves_a_refused_write(tmp_path: Path) -> None:
    folder = WriteFolder(tmp_path)
    folder.keep(write(1))
    queue = WriteQueue(*folder.load())
    folder.refuse(queue.refuse("w1", 1.0, "Conflict", ""), queue.refused)
    folder.keep(write(1))
    again = WriteQueue(*WriteFolder(tmp_path).load())
    assert len(again) == 0
    assert [each.write.id for each in again.refused] == ["w1"]


def test_a_file_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    folder = WriteFolder(tmp_path)
    folder.keep(write(1))
    (tmp_path / "pending" / "000000000000-x.json").write_text("{")
    (tmp_path / "pending" / "000000000009-y.json").write_text("[]")
    assert [each.id for each in WriteFolder(tmp_path).load()[0]] == ["w1"]


def test_writes_keep_their_order_across_restarts(tmp_path: Path) -> None:
    WriteFolder(tmp_path).keep(write(5))
    for number in (4, 3):
        folder = WriteFolder(tmp_path)
        folder.load()
        folder.keep(write(number))
    assert [each.id for each in WriteFolder(tmp_path).load()[0]] == ["w5", "w4", "w3"]


@pytest.mark.parametrize(
    ("content_type", "patch", "expected"),
    [
        ("application/merge-patch+json", {"data": {"v": None, "w": "2"}}, {"w": "2"}),
        ("application/json-patch+json", [{"op": "replace", "path": "/data/v", "value": "3"}], {"v": "3"}),
        ("application/json-patch+json", [{"op": "move", "from": "/data/v", "path": "/data/w"}], {"w": "1"}),
    ],
)
def test_a_patch_shows_what_it_will_make(content_type: str, patch: object, expected: object) -> None:
    before = {"metadata": {"name": "a", "uid": "u"}, "data": {"v": "1"}}
    made = predicted(before, Write("w", 0, AUTHOR, "patch", "/", write(1).key, content_type=content_type, body=patch))
    assert made is not None
    assert made["data"] == expected
    assert made["metadata"] == {"name": "a", "uid": "u"}
    assert before["data"] == {"v": "1"}


def test_a_patch_that_does_not_apply_is_refused_at_once() -> None:
    operations = [{"op": "remove", "path": "/nothing"}]
    with pytest.raises(Failure):
        predicted({"metadata": {}}, Write("w", 0, AUTHOR, "patch", "/", write(1).key, body=operations))


def test_lists_are_merged_by_name_where_a_strategic_patch_says_so() -> None:
    target = {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}
    patch = {"containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}], "$setElementOrder/x": []}
    assert merge(target, patch, by_name=True) == {"containers": [{"name": "a", "image": "2"}]}
