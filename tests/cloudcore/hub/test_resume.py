"""A resume costs what differs on the wire, and one look at the slice in work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudcore.hub.router import Router
from protocol.frames import FrameType
from protocol.messages import InventoryEntry, Resume
from protocol.objects.keys import NodeName
from tests.support.clouds import Cloud, Edge, Holding, cloud, settle

pytestmark = pytest.mark.looptime


async def reconnected(c: Cloud, holding: Holding, edge: Edge) -> Edge:
    edge.link.close(1000, "away", c.clock.monotonic())
    edge._driver.pump()
    await settle(until=lambda: not c.hub.sessions)
    return await c.connect(holding)


def inventory_bytes(c: Cloud) -> int:
    name = FrameType.INVENTORY.name.lower()
    return c.hub.traffic.today(NodeName("n1")).get(("received", "control", name), 0)


async def test_equal_digests_exchange_nothing_whatever_the_slice() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        holding = Holding("n1")
        edge = await c.connect(holding)
        for number in range(200):
            await c.add_pod(f"p{number}", "n1")
        await settle(until=lambda: len(holding.names("pods")) == 200)
        before = inventory_bytes(c)
        again = await reconnected(c, holding, edge)
        await settle()
        assert again.welcome is not None
        assert again.welcome.resume is Resume.EQUAL
        assert again.received == []
        assert inventory_bytes(c) == before
        assert again.link.bytes_sent + again.link.bytes_received < 1000


async def test_a_difference_of_three_sends_three_and_looks_at_the_slice_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cloud() as c:
        await c.add_node("n1")
        holding = Holding("n1")
        edge = await c.connect(holding)
        for number in range(200):
            await c.add_pod(f"p{number}", "n1")
        await settle(until=lambda: len(holding.names("pods")) == 200)
        edge.link.close(1000, "away", c.clock.monotonic())
        edge._driver.pump()
        await settle(until=lambda: not c.hub.sessions)
        await c.client.delete("pods", "default", "p7", grace_s=0)
        await c.add_pod("new", "n1")
        await c.client.patch("pods", "default", "p9", {"metadata": {"labels": {"changed": "yes"}}})
        await settle()
        looked: list[int] = []
        slice_of = Router.slice_of

        def counted(router: Router, node: NodeName) -> Iterator[InventoryEntry]:
            entries = list(slice_of(router, node))
            looked.append(len(entries))
            return iter(entries)

        monkeypatch.setattr(Router, "slice_of", counted)
        again = await c.connect(holding)
        await settle()
        assert sorted(item.key.name for item in again.received) == ["n1", "new", "p7", "p9"]  # n1: the end
        assert looked == [201]
        assert len(holding.names("pods")) == 200
