from __future__ import annotations

from edgecore.pods.events import RecordEvent
from edgecore.pods.recorder import BURST, REFILL_S, SILENCE_S, EventRecorder
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


def test_a_pod_that_always_says_something_new_is_held_back() -> None:
    recorder = EventRecorder("edge-1")

    def make(number: int, at: float, uid: str = "u1") -> bool:
        event = RecordEvent(Uid(uid), True, "Unhealthy", f"Liveness probe failed: it is {number}", "main")
        return recorder.body(event, a_pod(), at) is not None

    assert [make(number, 1000.0 + number) for number in range(100)] == [True] * BURST + [False] * (100 - BURST)
    assert make(0, 1100.0, uid="u2")
    assert recorder.body(STARTED, a_pod(), 1100.0) is not None
    assert not make(100, 1000.0 + REFILL_S - 1)
    assert make(101, 1000.0 + REFILL_S)
    assert not make(102, 1000.0 + REFILL_S)
    assert make(103, 900.0 + 2 * REFILL_S) is False, "a clock set back gives nothing"


def test_memory_is_bounded() -> None:
    recorder = EventRecorder("edge-1")
    for number in range(3000):
        recorder.body(RecordEvent(Uid(f"u{number}"), False, "Started", str(number)), a_pod(), 1000.0)
    assert len(recorder._said) <= 1024
    assert len(recorder._allowed) <= 1024


def test_the_event_of_a_pod_with_the_longest_name_has_a_valid_name() -> None:
    pod = a_pod()
    pod["metadata"]["name"] = "a" * 240 + "." + "b" * 12
    body = EventRecorder("edge-1").body(STARTED, pod, 1_800_000_000.0)
    assert body is not None
    assert len(body["metadata"]["name"]) <= 253
    assert body["involvedObject"]["name"] == pod["metadata"]["name"]
