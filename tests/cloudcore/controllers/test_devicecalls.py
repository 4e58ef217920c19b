"""Calls of device methods: desired until reported, or put back when the deadline passes."""

from __future__ import annotations

from typing import Any

import pytest

from cloudcore.controllers.devicecalls import TTL_S, desired_of, device_of, with_desired
from cloudcore.errors import Invalid, NotFound
from protocol.objects.devices import DEVICE_MODELS, DEVICES
from protocol.objects.keys import Body, ObjectKey
from protocol.objects.resources import DEVICE_CALLS
from tests.support.controllers import Cloud, cloud
from tests.support.devicemanifests import manifests

pytestmark = pytest.mark.looptime

HALL = ObjectKey(DEVICES, "default", "hall")


async def call(made: Cloud, *, device: str = "hall", method: str = "setTarget", **arguments: str) -> None:
    spec: dict[str, Any] = {"deviceName": device, "method": method, "arguments": arguments or {"target": "25"}}
    await made.client.create(DEVICE_CALLS, {"metadata": {"name": "c", "namespace": "default"}, "spec": spec})
    await made.settle()


async def began(made: Cloud) -> None:
    model, device = manifests()
    node = {"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await made.client.create("nodes", node)
    await made.client.create(DEVICE_MODELS, model)
    await made.client.create(DEVICES, device)
    await made.settle()


async def report(made: Cloud, value: str) -> None:
    twin = {"propertyName": "target", "observedDesired": {"value": value}, "reported": {"value": value}}
    await made.client.patch(*HALL, {"status": {"twins": [twin]}}, subresource="status")
    await made.settle()


async def status(made: Cloud) -> Body:
    found: Body = (await made.client.get(DEVICE_CALLS, "default", "c")).get("status") or {}
    return found


async def target(made: Cloud) -> str:
    return desired_of(await made.client.get(*HALL))["target"]


async def test_a_call_succeeds_when_the_device_reports_what_it_asks_for() -> None:
    async with cloud() as made:
        await began(made)
        await call(made)
        assert (await status(made))["phase"] == "Running"
        assert await target(made) == "25"
        await report(made, "21.5")
        assert (await status(made))["phase"] == "Running"
        await report(made, "25.0")
        assert (await status(made))["phase"] == "Succeeded"
        assert (await status(made))["results"] == {"target": "25"}


async def test_what_is_late_is_not_done_later() -> None:
    async with cloud() as made:
        await began(made)
        await call(made)
        await made.pass_time(31)
        assert (await status(made))["reason"] == "DeadlineExceeded"
        assert await target(made) == "21.5"


async def test_a_call_that_is_overtaken_leaves_the_newer_wish() -> None:
    async with cloud() as made:
        await began(made)
        await call(made)
        device = await made.client.get(*HALL)
        await made.client.update(DEVICES, with_desired(device, {"target": "10"}))
        await made.pass_time(31)
        assert (await status(made))["reason"] == "Superseded"
        assert await target(made) == "10"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"device": "cellar"}, "NotFound"),
        ({"method": "explode"}, "NoSuchMethod"),
        ({"mode": "eco"}, "Invalid"),
        ({"target": "99"}, "Invalid"),
    ],
)
async def test_what_cannot_be_done_fails_at_once_and_changes_nothing(asked: dict[str, str], reason: str) -> None:
    async with cloud() as made:
        await began(made)
        await call(made, **asked)
        assert ((await status(made))["phase"], (await status(made))["reason"]) == ("Failed", reason)
        assert await target(made) == "21.5"


async def test_a_call_is_not_changed_and_needs_arguments() -> None:
    async with cloud() as made:
        await began(made)
        await call(made)
        with pytest.raises(Invalid):
            await made.client.patch(DEVICE_CALLS, "default", "c", {"spec": {"method": "other"}})
        body: Body = {"metadata": {"name": "d", "namespace": "default"}, "spec": {"deviceName": "hall", "method": "m"}}
        with pytest.raises(Invalid):
            await made.client.create(DEVICE_CALLS, body)


async def test_a_call_of_nothing_is_refused() -> None:
    async with cloud() as made:
        with pytest.raises(Invalid, match="spec"):
            await made.client.create(DEVICE_CALLS, {"metadata": {"name": "d", "namespace": "default"}})


def test_what_names_no_device_is_about_none() -> None:
    nothing = {"metadata": {"name": "d", "namespace": "default"}}
    assert not [*device_of(nothing), *device_of({**nothing, "spec": None}), *device_of({**nothing, "spec": {}})]
    assert [*device_of({**nothing, "spec": {"deviceName": "hall"}})] == ["default/hall"]


async def test_an_ended_call_goes_after_a_while() -> None:
    async with cloud() as made:
        await began(made)
        await call(made, device="cellar")
        await made.pass_time(TTL_S + 60)
        with pytest.raises(NotFound):
            await status(made)
