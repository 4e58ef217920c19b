from __future__ import annotations

from typing import Any

import pytest

from cloudcore.errors import Gone, InternalError
from cloudcore.store.base import ChangeType
from cloudcore.store.kubernetes.copies import Copies
from cloudcore.store.kubernetes.objects import revision_of
from cloudcore.store.settings import StoreSettings
from protocol.objects.keys import Body, ObjectKey, Revision

WEB = ObjectKey("pods", "d", "web")


def pod(version: int, *, name: str = "web", uid: str = "u", managed: int = 0, **fields: Any) -> Body:
    metadata = {"name": name, "namespace": "d", "uid": uid, "resourceVersion": str(version)}
    return {"kind": "Pod", "metadata": {**metadata, "managedFields": [{"time": managed}]}, **fields}


@pytest.fixture
def copies() -> Copies:
    copies = Copies(StoreSettings())
    copies.replace("pods", [pod(5, spec={"a": 1})], Revision(10))
    return copies


def versions(copies: Copies) -> tuple[int, int]:
    record = copies.get(WEB)
    assert record is not None
    return record.revision, record.content_revision


def test_a_status_or_who_set_what_is_no_change_of_the_content(copies: Copies) -> None:
    copies.take("pods", [(ChangeType.MODIFIED, pod(11, spec={"a": 1}, status={"x": 1}))], 0.0)
    copies.take("pods", [(ChangeType.MODIFIED, pod(12, spec={"a": 1}, status={"x": 2}, managed=7))], 0.0)
    assert versions(copies) == (12, 5)
    copies.take("pods", [(ChangeType.MODIFIED, pod(13, spec={"a": 2}, status={"x": 2}))], 0.0)
    assert versions(copies) == (13, 13)


def test_the_same_content_of_another_object_is_another_content(copies: Copies) -> None:
    changes = copies.take(
        "pods",
        [(ChangeType.DELETED, pod(11, spec={"a": 1})), (ChangeType.ADDED, pod(12, uid="v", spec={"a": 1}))],
        0.0,
    )
    assert [change.type.value for change in changes] == ["DELETED", "ADDED"]
    assert versions(copies) == (12, 12)


def test_a_deletion_that_was_missed_is_seen_in_the_new_uid(copies: Copies) -> None:
    changes = copies.take("pods", [(ChangeType.ADDED, pod(11, uid="v"))], 0.0)
    assert [(change.type.value, change.record.uid) for change in changes] == [("DELETED", "u"), ("ADDED", "v")]


def test_a_repeat_is_left_out(copies: Copies) -> None:
    event = (ChangeType.MODIFIED, pod(11, spec={"a": 2}))
    assert len(copies.take("pods", [event], 0.0)) == 1
    assert copies.take("pods", [(ChangeType.MODIFIED, pod(11, spec={"a": 2}))], 0.0) == []


def test_a_new_list_keeps_what_did_not_change_and_ends_older_positions(copies: Copies) -> None:
    copies.take("pods", [(ChangeType.MODIFIED, pod(11, spec={"a": 1}, status={"x": 1}))], 0.0)
    copies.replace("pods", [pod(20, spec={"a": 1}, status={"x": 9})], Revision(21))
    assert versions(copies) == (20, 5)
    with pytest.raises(Gone):
        copies.check_known("pods", Revision(11))
    copies.check_known("pods", Revision(21))
    assert copies.list("pods", None, Revision(21)).records == [copies.get(WEB)]


def test_each_resource_is_as_far_as_it_was_followed(copies: Copies) -> None:
    copies.replace("nodes", [], Revision(7))
    copies.bookmark("pods", Revision(30))
    assert copies.reached(["pods"]) == 30
    assert copies.reached(["nodes"]) == 7
    assert copies.reached(["pods", "nodes"]) == 7
    assert copies.revision == 30


@pytest.mark.parametrize("version", ["", "abc", "-1", None, "\uff11"])
def test_versions_that_cannot_be_ordered_are_refused(version: str | None) -> None:
    with pytest.raises(InternalError, match="no number"):
        revision_of({"resourceVersion": version})


def test_a_deletion_without_a_version_of_its_own_is_one_all_the_same(copies: Copies) -> None:
    (change,) = copies.take("pods", [(ChangeType.DELETED, pod(5, spec={"a": 1}))], 0.0)
    assert (change.type, change.revision, copies.get(WEB)) == (ChangeType.DELETED, 10, None)
    assert copies.take("pods", [(ChangeType.DELETED, pod(5, spec={"a": 1}))], 0.0) == []
