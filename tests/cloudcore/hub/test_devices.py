"""What nodes say of their devices, and how it is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest

from cloudcore.errors import StorageUnavailable
from cloudcore.hub.upstream import PodServices, Upstream
from protocol.messages import Item, Op, Outcome, Verdict
from protocol.objects.devices import DEVICE_REPORTS, DEVICE_STATUS, DEVICES, Report, encode_reports
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision, Uid
from tests.support.clouds import Cloud, cloud, settle
from tests.support.devicemanifests import manifests

pytestmark = pytest.mark.looptime

N1 = NodeName("n1")
HALL = ObjectKey(DEVICES, "default", "hall")
ONLINE = {"state": "online", "twins": [{"propertyName": "temperature", "reported": {"value": "20"}}]}


async def add_device(c: Cloud, node: str = "n1") -> Body:
    _, device = manifests()
    device["spec"]["nodeName"] = node
    made = await c.client.create(DEVICES, device)
    await settle(until=lambda: c.hub.router.node_of(HALL) == node)
    return made


def status(body: Any, uid: str) -> Item:
    return Item(
        Op.PUT, ObjectKey(DEVICE_STATUS, "default", "hall"), Uid(uid), Revision(0), msgpack.packb({"status": body})
    )


def of(*reports: Report, node: str = "n1") -> Item:
    key = ObjectKey(DEVICE_REPORTS, "", node)
    return Item(Op.COMMAND, key, Uid(""), Revision(0), encode_reports(reports), id="c1")


def report(number: int, **changed: Any) -> Report:
    return Report("default", "hall", "temperature", "20", 1_790_000_000_000, number)._replace(**changed)


async def settle_one(upstream: Upstream, item: Item, node: NodeName = N1) -> Verdict:
    (verdict,) = await upstream.settle(node, [item], lambda: True)
    return verdict


def keeping(c: Cloud, kept: list[Report], failure: Exception | None = None) -> Upstream:
    async def keep(_: NodeName, reports: Sequence[Report]) -> None:
        if failure is not None:
            raise failure
        kept.extend(reports)

    return Upstream(c.store, c.client, c.hub.router, c.recorder, services=PodServices(keep=keep))


async def test_a_devices_state_is_stored_and_what_people_set_there_stays() -> None:
    async with cloud() as c:
        uid = (await add_device(c))["metadata"]["uid"]
        assert (await settle_one(c.hub.upstream, status(ONLINE, uid))).outcome is Outcome.APPLIED
        stored = await c.client.get(*HALL)
        assert stored["status"] == {**ONLINE, "reportToCloud": True, "reportCycle": 10000}
        assert stored["metadata"]["generation"] == 1


async def test_a_device_is_written_once_a_second_and_then_with_the_newest() -> None:
    async with cloud() as c:
        uid = (await add_device(c))["metadata"]["uid"]
        outcomes = []
        for value in range(10):
            told = {"state": "online", "twins": [{"propertyName": "temperature", "reported": {"value": str(value)}}]}
            outcomes.append((await settle_one(c.hub.upstream, status(told, uid))).outcome)
        assert outcomes == [Outcome.APPLIED] * 2 + [Outcome.LATER] * 8
        await asyncio.sleep(1.0)
        assert (await settle_one(c.hub.upstream, status(told, uid))).outcome is Outcome.APPLIED
        assert (await c.client.get(*HALL))["status"]["twins"][0]["reported"]["value"] == "9"


async def test_nobody_speaks_for_anothers_device() -> None:
    async with cloud() as c:
        uid = (await add_device(c, "n2"))["metadata"]["uid"]
        assert (await settle_one(c.hub.upstream, status(ONLINE, uid))).code == "Forbidden"


async def test_a_device_that_has_gone_hears_nothing() -> None:
    async with cloud() as c:
        await add_device(c)
        assert (await settle_one(c.hub.upstream, status(ONLINE, "another-uid"))).outcome is Outcome.APPLIED
        assert "state" not in (await c.client.get(*HALL))["status"]


@pytest.mark.parametrize("told", [{"twins": "many"}, {"twins": [{"reported": {"value": 5}}]}, "online"])
async def test_a_malformed_state_is_refused(told: Any) -> None:
    async with cloud() as c:
        uid = (await add_device(c))["metadata"]["uid"]
        assert (await settle_one(c.hub.upstream, status(told, uid))).outcome is Outcome.REJECTED


async def test_reports_are_kept_in_order_and_only_of_own_devices() -> None:
    async with cloud() as c:
        await add_device(c)
        kept: list[Report] = []
        mine, others = [report(1), report(2)], [report(3, device="cellar")]
        assert (await settle_one(keeping(c, kept), of(*mine, *others))).outcome is Outcome.APPLIED
        assert kept == mine


async def test_reports_that_cannot_be_kept_come_again() -> None:
    async with cloud() as c:
        await add_device(c)
        upstream = keeping(c, [], StorageUnavailable("full"))
        assert (await settle_one(upstream, of(report(1)))).outcome is Outcome.LATER


@pytest.mark.parametrize(
    "item",
    [
        of(report(1), node="n2"),
        of(report(1, at_ms=2**62)),
        of(report(-1)),
        of(report(2**63)),
        of(report(1, value="x" * 513)),
        of(report(1))._replace(body=b"\xc1"),
    ],
    ids=["another node's", "far future", "negative", "beyond SQLite", "long value", "not msgpack"],
)
async def test_reports_beyond_the_limits_are_refused(item: Item) -> None:
    async with cloud() as c:
        await add_device(c)
        kept: list[Report] = []
        assert (await settle_one(keeping(c, kept), item)).outcome is Outcome.REJECTED
        assert kept == []


async def test_a_cloud_without_a_log_says_so() -> None:
    async with cloud() as c:
        await add_device(c)
        assert (await settle_one(c.hub.upstream, of(report(1)))).code == "MethodNotAllowed"
