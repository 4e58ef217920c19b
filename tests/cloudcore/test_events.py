from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cloudcore.errors import ApiError, Forbidden, NotFound, TooManyRequests
from cloudcore.events import QUEUE_LIMIT, SPAM_BURST, SPAM_REFILL_S, EventRecorder, SpamFilter
from protocol.objects.keys import Body
from tests.support.controllers import LoopClock

POD: Body = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
}


class Shelf:
    """Stands in for the client: keeps events by name, and fails as told."""

    def __init__(self) -> None:
        self.events: dict[str, Body] = {}
        self.failures: list[ApiError] = []

    async def create(self, resource: str, body: Body) -> Body:
        self._maybe_fail()
        self.events[body["metadata"]["name"]] = body
        return body

    async def patch(self, resource: str, namespace: str, name: str, patch: Any, **_: Any) -> Body:
        self._maybe_fail()
        if name not in self.events:
            raise NotFound(name)
        self.events[name] = {**self.events[name], **patch}
        return self.events[name]

    def _maybe_fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


@asynccontextmanager
async def running(shelf: Shelf) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(shelf, LoopClock(), "scheduler")  # type: ignore[arg-type]  # only what it calls
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.run())
        yield recorder
        await asyncio.sleep(60)
        task.cancel()


@pytest.mark.looptime
async def test_an_event_has_the_fields_that_kubectl_shows() -> None:
    shelf = Shelf()
    async with running(shelf) as recorder:
        recorder.event(POD, "Warning", "FailedScheduling", "no node fits")
    [event] = shelf.events.values()
    assert event["metadata"]["namespace"] == "shop"
    assert event["metadata"]["name"].startswith("web.")
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web",
        "uid": "u",
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "FailedScheduling", "no node fits")
    assert event["source"] == {"component": "scheduler"}
    assert event["reportingComponent"] == "scheduler"
    assert event["firstTimestamp"] == event["lastTimestamp"]
    assert event["count"] == 1


@pytest.mark.looptime
async def test_the_same_again_counts_up_and_other_components_and_words_do_not() -> None:
    shelf = Shelf()
    async with running(shelf) as recorder:
        recorder.event(POD, "Normal", "Pulled", "image")
        await asyncio.sleep(5)
        recorder.event(POD, "Normal", "Pulled", "image")
        recorder.event(POD, "Normal", "Pulled", "another image")
        recorder.named("hub").event(POD, "Normal", "Pulled", "image")
    counts = {(e["source"]["component"], e["message"]): e["count"] for e in shelf.events.values()}
    assert counts == {("scheduler", "image"): 2, ("scheduler", "another image"): 1, ("hub", "image"): 1}
    repeated = next(event for event in shelf.events.values() if event["count"] == 2)
    assert repeated["firstTimestamp"] < repeated["lastTimestamp"]


@pytest.mark.looptime
async def test_an_expired_event_begins_a_new_series() -> None:
    shelf = Shelf()
    async with running(shelf) as recorder:
        recorder.event(POD, "Normal", "Pulled", "image")
        await asyncio.sleep(5)
        shelf.events.clear()
        recorder.event(POD, "Normal", "Pulled", "image")
    assert [event["count"] for event in shelf.events.values()] == [1]


@pytest.mark.looptime
async def test_events_of_cluster_objects_are_in_default() -> None:
    shelf = Shelf()
    async with running(shelf) as recorder:
        recorder.event({"kind": "Node", "metadata": {"name": "n"}}, "Normal", "Ready", "x" * 5000)
    [event] = shelf.events.values()
    assert event["metadata"]["namespace"] == "default"
    assert len(event["message"]) == 1024


@pytest.mark.looptime
async def test_a_busy_server_is_tried_again_and_a_refusal_is_counted() -> None:
    shelf = Shelf()
    shelf.failures = [TooManyRequests("later", retry_after_s=2), TooManyRequests("later", retry_after_s=2)]
    async with running(shelf) as recorder:
        recorder.event(POD, "Normal", "Pulled", "image")
        await asyncio.sleep(10)
        assert len(shelf.events) == 1
        shelf.failures = [Forbidden("the namespace is going")]
        recorder.event(POD, "Normal", "Pulled", "image")
    assert recorder.dropped == 1


@pytest.mark.looptime
async def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    shelf = Shelf()
    recorder = EventRecorder(shelf, LoopClock(), "scheduler")  # type: ignore[arg-type]  # only what it calls
    for number in range(QUEUE_LIMIT + 5):
        recorder.event({"kind": "Pod", "metadata": {"name": f"p{number}"}}, "Normal", "R", "m")
    assert recorder.dropped == 5
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.run())
        await asyncio.sleep(1)
        task.cancel()
    assert len(shelf.events) == QUEUE_LIMIT
    assert not any(name.startswith("p0.") for name in shelf.events)


def test_one_object_cannot_flood() -> None:
    spam = SpamFilter()
    assert [spam.admits("a", 0.0) for _ in range(SPAM_BURST + 1)] == [True] * SPAM_BURST + [False]
    assert spam.admits("b", 0.0)
    assert not spam.admits("a", SPAM_REFILL_S / 2)
    assert spam.admits("a", SPAM_REFILL_S)
