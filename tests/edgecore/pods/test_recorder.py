from __future__ import annotations

from edgecore.pods.events import RecordEvent
from edgecore.pods.recorder import SILENCE_S, EventRecorder
from protocol.objects.keys import Uid
from tests.support.pods import a_pod

STARTED = RecordEvent(Uid("u1"), False, "Started", "Started container main", "main")


def test_an_event_has_what_kubectl_shows() -> None:
    body = EventRecorder("edge-1").body(STARTED, a_pod(), 1_800_000_000.0)
    assert body is not None
    assert (body["type"], body["reason"], body["count"]) == ("Normal", "Started", 1)
    assert body["involvedObject"]["uid"] == "u1"
    assert body["lastTimestamp"] == "2027-01-15T08:00:00Z"
    assert body["metadata"]["namespace"] == "default"


def test_what_was_just_said_is_not_said_again() -> None:
    recorder = EventRecorder("edge-1")
    assert recorder.body(STARTED, a_pod(), 1000.0) is not None
    for seconds in (1, SILENCE_S - 1):
        assert recorder.body(STARTED, a_pod(), 1000.0 + seconds) is None
    assert recorder.body(STARTED, a_pod(), 1000.0 + SILENCE_S) is not None


def test_events_of_one_instant_have_names_of_their_own() -> None:
    recorder = EventRecorder("edge-1")
    other = RecordEvent(Uid("u1"), True, "Failed", "Error: x", "main")
    bodies = [recorder.body(event, a_pod(), 1000.0) for event in (STARTED, other)]
    assert len({body["metadata"]["name"] for body in bodies if body}) == 2


def test_memory_is_bounded() -> None:
    recorder = EventRecorder("edge-1")
    for number in range(3000):
        recorder.body(RecordEvent(Uid("u1"), False, "Started", str(number)), a_pod(), 1000.0)
    assert len(recorder._said) <= 1024


def test_the_event_of_a_pod_with_the_longest_name_has_a_valid_name() -> None:
    pod = a_pod()
    pod["metadata"]["name"] = "a" * 240 + "." + "b" * 12
    body = EventRecorder("edge-1").body(STARTED, pod, 1_800_000_000.0)
    assert body is not None
    assert len(body["metadata"]["name"]) <= 253
    assert body["involvedObject"]["name"] == pod["metadata"]["name"]
