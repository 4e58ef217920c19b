"""Each node's bytes of the day: over sessions, over restarts, and under a cap."""

from __future__ import annotations

import asyncio

import pytest

from cloudcore.hub.settings import HubSettings
from cloudcore.hub.traffic import CHECKPOINT_S, TrafficLedger
from protocol.messages import Lane
from protocol.objects.keys import NodeName
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE, TRAFFIC
from protocol.settings import LinkSettings
from tests.support.clouds import Holding, cloud, settle

pytestmark = pytest.mark.looptime

N1 = NodeName("n1")


async def test_bytes_add_up_over_sessions_and_are_forgotten_with_the_node() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        holding = Holding("n1")
        first = await c.connect(holding)
        await settle()
        before = c.hub.sessions[N1].traffic
        assert before["sent", "spec", "nodes"] > 0
        assert before["received", "control", "hello"] > 0
        first.link.close(1000, "again", c.clock.monotonic())
        first._driver.pump()
        await settle(until=lambda: not c.hub.sessions)
        await c.connect(holding)
        await settle()
        after = c.hub.traffic.today(N1)
        assert after["received", "control", "hello"] > before["received", "control", "hello"]
        assert c.hub.traffic.totals() == after
        await c.client.delete("nodes", "", "n1")
        await settle()
        assert c.hub.traffic.today(N1) == {}


async def test_the_count_rides_on_the_lease_and_is_taken_up_by_the_next_process() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        for _ in range(round(CHECKPOINT_S / 10) + 2):
            edge.heartbeat()
            await asyncio.sleep(10.0)
        lease = await c.client.get("leases.coordination.k8s.io", NODE_LEASE_NAMESPACE, "n1")
        day, _, noted = lease["metadata"]["annotations"][TRAFFIC].partition(" ")
        assert day.startswith("2026-")
        successor = TrafficLedger(c.store, c.clock)
        await successor.recall(N1)
        assert successor.meter(N1).used_bytes == int(noted) > 500
        await successor.recall(N1)  # a later session
        assert successor.meter(N1).used_bytes == int(noted)


@pytest.mark.parametrize("text", ["", "yesterday 5", "2026-01-01", "2026-01-01 x"])
async def test_an_annotation_that_says_nothing_counts_nothing(text: str) -> None:
    async with cloud() as c:
        metadata = {"name": "n1", "namespace": NODE_LEASE_NAMESPACE, "annotations": {TRAFFIC: text}}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {}}
        await c.client.create("leases.coordination.k8s.io", body)
        await c.hub.traffic.recall(N1)
        assert c.hub.traffic.meter(N1).used_bytes == 0


async def test_a_node_over_its_cap_stays_ready_and_gets_the_rest_when_the_cap_is_raised() -> None:
    async with cloud(HubSettings(daily_bytes=3000)) as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        await settle()
        for number in range(50):
            await c.add_pod(f"p{number}", "n1")
            if number % 10 == 0:
                await settle()  # so that the bytes of one batch are known before the next goes
        await settle()
        session = c.hub.sessions[N1]
        held = len(session.link.outbox)
        assert held > 0
        assert session.held.startswith("link.daily_bytes: ")
        assert session.link.depth(Lane.SPEC) == held
        renewals = c.hub.leases.renewals_total
        edge.heartbeat()
        await settle()
        assert c.hub.leases.renewals_total == renewals + 1
        c.hub.reload(LinkSettings(), 0)
        await settle(until=lambda: len(edge.holding.names("pods")) == 50)
        assert session.held == ""
