from __future__ import annotations

from cloudcore.apiserver.conversion.events import from_core, to_core

CORE = {
    "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"},
    "message": "hello", "reason": "Said", "reportingComponent": "c", "reportingInstance": "c-1", "count": 2,
    "firstTimestamp": "2026-01-01T00:00:00Z", "source": {"component": "c"}, "eventTime": "2026-01-01T00:00:00.000000Z",
}  # fmt: skip


def test_an_event_says_the_same_in_both_versions() -> None:
    newer = from_core(CORE)
    assert (newer["apiVersion"], newer["note"], newer["regarding"]["name"]) == ("events.k8s.io/v1", "hello", "p")
    assert (newer["reportingController"], newer["deprecatedCount"]) == ("c", 2)
    assert to_core(newer) == CORE


def test_an_event_about_nothing_still_has_an_object() -> None:
    assert to_core({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {}})["involvedObject"] == {}
