"""One kind in two versions, over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.support.kindsamples import sample

V1, V2 = (f"/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers" for version in ("v1", "v2"))
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


async def answer(session: aiohttp.ClientSession, method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with session.request(method, path, **options) as response:
        return response.status, await response.json()


async def test_an_object_is_read_and_written_in_either_version(admin: aiohttp.ClientSession) -> None:
    body = sample("horizontalpodautoscalers.autoscaling")
    status, stored = await answer(admin, "POST", V2, json=body)
    assert (status, stored["apiVersion"]) == (201, "autoscaling/v2")
    _, older = await answer(admin, "GET", f"{V1}/web")
    assert (older["apiVersion"], older["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 60)
    older["spec"]["targetCPUUtilizationPercentage"] = 70
    status, replaced = await answer(admin, "PUT", f"{V1}/web", json=older)
    assert (status, replaced["apiVersion"]) == (200, "autoscaling/v1")
    patch: dict[str, Any] = {
        "data": json.dumps({"spec": {"maxReplicas": 9}}),
        "headers": {"Content-Type": "application/merge-patch+json"},
    }
    status, patched = await answer(admin, "PATCH", f"{V1}/web", **patch)
    assert (status, patched["spec"]["maxReplicas"]) == (200, 9)
    _, newer = await answer(admin, "GET", f"{V2}/web")
    assert newer["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    assert newer["spec"]["metrics"][1] == body["spec"]["metrics"][1]
    assert newer["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 60
    _, listed = await answer(admin, "GET", V1)
    assert (listed["apiVersion"], listed["items"][0]["apiVersion"]) == ("autoscaling/v1", "autoscaling/v1")


async def test_a_body_is_checked_in_the_version_it_is_written_in(admin: aiohttp.ClientSession) -> None:
    body: dict[str, Any] = {
        "metadata": {"name": "x"},
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "D", "name": "d"}},
    }
    params = {"fieldValidation": "Strict"}
    status, wrong = await answer(
        admin, "POST", V1, json={**body, "spec": {**body["spec"], "metrics": []}}, params=params
    )
    assert (status, 'unknown field "spec.metrics"' in wrong["message"]) == (400, True)
    status, wrong = await answer(admin, "POST", V1, json={**body, "apiVersion": "autoscaling/v2"})
    assert status == 400
    status, stored = await answer(admin, "POST", V1, json=body, params=params)
    assert (status, stored["spec"]["targetCPUUtilizationPercentage"]) == (201, 80)


async def test_events_have_two_names(admin: aiohttp.ClientSession) -> None:
    event = {
        "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Seen",
        "action": "Look", "note": "hello", "reportingController": "c", "reportingInstance": "c-1",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    }  # fmt: skip
    assert (await answer(admin, "POST", EVENTS, json={**event, "reportingController": ""}))[0] == 422
    assert (await answer(admin, "POST", EVENTS, json=event))[0] == 201
    _, core = await answer(admin, "GET", "/api/v1/namespaces/default/events/e")
    assert (core["message"], core["involvedObject"]["name"], core["apiVersion"]) == ("hello", "p", "v1")
    for selector, found in (("regarding.name=p", 1), ("regarding.name=q", 0), ("reportingController=c", 1)):
        _, listed = await answer(admin, "GET", EVENTS, params={"fieldSelector": selector})
        assert len(listed["items"]) == found
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    _, table = await answer(admin, "GET", EVENTS, headers=accept)
    assert "hello" in table["rows"][0]["cells"]


async def test_a_watch_speaks_the_version_it_was_asked_in(admin: aiohttp.ClientSession) -> None:
    await answer(admin, "POST", V2, json=sample("horizontalpodautoscalers.autoscaling"))
    params = {
        "watch": "1",
        "sendInitialEvents": "true",
        "allowWatchBookmarks": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
    async with asyncio.timeout(10), admin.get(V1, params=params) as response:
        events = [json.loads(await response.content.readline()) for _ in range(2)]
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert {event["object"]["apiVersion"] for event in events} == {"autoscaling/v1"}


async def test_what_has_no_effect_yet_is_said_to_who_creates_it(admin: aiohttp.ClientSession) -> None:
    path = "/apis/batch/v1/namespaces/default/jobs"
    async with admin.post(path, json=sample("jobs.batch")) as response:
        assert (response.status, "no controller of this server acts on Jobs yet" in response.headers["Warning"]) == (
            201,
            True,
        )
