"""Devices of nodes that are not heard of."""

from __future__ import annotations

from typing import Any

import pytest

from cloudcore.controllers.devices import plan
from protocol.objects.devices import DEVICES
from protocol.objects.keys import Body, ObjectKey
from tests.support.controllers import Cloud, cloud
from tests.support.devicemanifests import manifests

HALL = ObjectKey(DEVICES, "default", "hall")
ONLINE = {"state": "online", "twins": [], "lastOnlineTime": "2026-11-23T12:00:00Z"}


def test_what_the_cloud_overwrites_comes_back() -> None:
    unknown = plan(ONLINE, heard_of=False)
    assert unknown == {**ONLINE, "state": "unknown", "extensions": {"reportedState": "online"}}
    assert plan(unknown, heard_of=False) is None
    assert plan(unknown, heard_of=True) == ONLINE


def test_other_extensions_stay() -> None:
    status = {"state": "offline", "extensions": {"conflicts": [1]}}
    unknown = plan(status, heard_of=False)
    assert unknown is not None
    assert plan(unknown, heard_of=True) == status


@pytest.mark.parametrize("status", [{}, {"state": "unknown"}])
@pytest.mark.parametrize("heard_of", [True, False])
def test_what_nobody_knows_is_left_alone(status: Body, heard_of: bool) -> None:
    assert plan(status, heard_of=heard_of) is None


async def set_ready(made: Cloud, status: str) -> None:
    conditions = [{"type": "Ready", "status": status}]
    await made.client.patch("nodes", "", "n1", {"status": {"conditions": conditions}}, subresource="status")
    await made.settle()


async def report(made: Cloud, **status: Any) -> None:
    await made.client.patch(*HALL, {"status": status}, subresource="status")
    await made.settle()


async def device(made: Cloud) -> Body:
    return await made.client.get(*HALL)


async def began(made: Cloud) -> None:
    await made.client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    await made.client.create(DEVICES, manifests()[1])
    await set_ready(made, "True")
    await report(made, **ONLINE)


@pytest.mark.looptime
async def test_a_device_is_unknown_while_its_node_is_and_known_again_after() -> None:
    async with cloud() as made:
        await began(made)
        assert (await device(made))["status"]["state"] == "online"
        await set_ready(made, "Unknown")
        assert (await device(made))["status"]["state"] == "unknown"
        assert (await device(made))["status"]["lastOnlineTime"] == ONLINE["lastOnlineTime"]
        await set_ready(made, "True")
        assert (await device(made))["status"]["state"] == "online"


@pytest.mark.looptime
async def test_a_node_whose_lease_runs_out_takes_its_devices_along() -> None:
    async with cloud() as made:
        await began(made)
        await made.pass_time(120)
        assert (await device(made))["status"]["state"] == "unknown"


@pytest.mark.looptime
async def test_a_device_of_a_deleted_node_is_unknown() -> None:
    async with cloud() as made:
        await began(made)
        await made.client.delete("nodes", "", "n1")
        await made.settle()
        assert (await device(made))["status"]["state"] == "unknown"


@pytest.mark.looptime
async def test_a_change_of_state_is_an_event() -> None:
    async with cloud() as made:
        await began(made)
        await report(made, state="offline")
        await set_ready(made, "Unknown")
        await made.pass_time(5)
        events = await made.client.list("events", "default")
        told = [each["reason"] for each in events if each["involvedObject"]["kind"] == "Device"]
        assert told == ["DeviceOnline", "DeviceOffline", "DeviceUnknown"]
