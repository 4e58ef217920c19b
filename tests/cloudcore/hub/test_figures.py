from __future__ import annotations

import pytest

from cloudcore.hub.figures import LinkFigures
from tests.support.clouds import Holding, cloud, settle

pytestmark = pytest.mark.looptime


async def test_all_links_are_added_up_by_lane() -> None:
    async with cloud() as running:
        edges = []
        for name in ("edge-1", "edge-2", "edge-3"):
            await running.add_node(name)
            edges.append(await running.connect(Holding(name)))
        await settle()
        for edge in edges[:2]:
            edge.holds_back = True
            await running.add_pod(f"on-{edge.holding.node}", edge.holding.node)
        await settle()
        figures = LinkFigures(running.hub, running.clock.monotonic)
        await figures.refresh()
        now = figures.now
        assert (now.owed, now.in_flight, now.nodes) == (2, {"spec": 2}, {"pending": 2, "in_sync": 1})
        assert now.oldest_s["spec"] >= 1.0
        assert now.traffic["sent", "spec", "pods"] > 0


async def test_acknowledgements_are_counted_by_all_links_together() -> None:
    async with cloud() as running:
        for name in ("edge-1", "edge-2"):
            await running.add_node(name)
            await running.connect(Holding(name))
        await settle()
        assert sum(acks.count for acks in running.hub.measures.acks) >= 2
