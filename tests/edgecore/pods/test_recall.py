from __future__ import annotations

from edgecore.pods.events import Remembered
from edgecore.pods.recall import recall
from protocol.objects.keys import Body, ObjectKey, Uid

UID = Uid("u1")
REPORTED: Body = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}
POD: Body = {"metadata": {"namespace": "n", "name": "p", "uid": UID}, "spec": {"terminationGracePeriodSeconds": 7}}


def status_of(key: ObjectKey, uid: Uid) -> Body:
    return REPORTED if (key, uid) == (ObjectKey("pods", "n", "p"), UID) else {}


def test_a_note_that_tells_something_stands() -> None:
    note = Remembered("n", "p", 3.0, {"phase": "Succeeded"}, deleted=True)
    assert recall({UID: note}, [POD], status_of) == {UID: note}


def test_a_note_that_is_lost_is_made_up_for_by_what_was_reported() -> None:
    expected = Remembered("n", "p", 7.0, REPORTED)
    torn = Remembered("", "orphan-u1", 30.0, {})
    assert recall({UID: torn}, [POD], status_of) == {UID: expected}
    assert recall({}, [POD], status_of) == {UID: expected}


def test_a_pod_of_which_nothing_was_reported_is_new() -> None:
    assert recall({}, [POD], lambda key, uid: {}) == {}


def test_a_note_of_a_pod_that_is_not_wanted_is_left() -> None:
    note = Remembered("", "orphan-u2", 30.0, {})
    assert recall({Uid("u2"): note}, [POD], status_of)[Uid("u2")] is note
