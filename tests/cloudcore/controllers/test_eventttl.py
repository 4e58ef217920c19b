from __future__ import annotations

import pytest

from cloudcore.controllers.eventttl import plan
from cloudcore.controllers.manager import ControllerSettings
from protocol.objects.times import timestamp
from tests.support.controllers import cloud


def test_an_event_stays_from_when_it_was_last_seen() -> None:
    event = {
        "metadata": {"creationTimestamp": timestamp(100)},
        "lastTimestamp": timestamp(500),
        "series": {"lastObservedTime": timestamp(700)},
        "eventTime": None,
    }
    assert plan(event, now=1000.0, ttl_s=400.0) == 100.0
    assert plan({"metadata": {"creationTimestamp": timestamp(100)}}, now=1000.0, ttl_s=400.0) == -500.0


@pytest.mark.looptime
async def test_events_expire_and_one_that_is_seen_again_lives_on() -> None:
    async with cloud(ControllerSettings(event_ttl_s=100)) as made:
        metadata = {"name": "c", "namespace": "default"}
        thing = await made.client.create("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        made.recorder.event(thing, "Normal", "Once", "said once")
        made.recorder.event(thing, "Normal", "Twice", "said twice")
        await made.pass_time(60)
        made.recorder.event(thing, "Normal", "Twice", "said twice")
        await made.pass_time(60)
        assert {event["reason"] for event in await made.client.list("events")} == {"Twice"}
        await made.pass_time(60)
        assert await made.client.list("events") == []
