"""The hub as a whole: following the store, bounds, draining, and what it says of its links."""

from __future__ import annotations

from typing import Any

import pytest

from cloudcore.errors import Gone
from cloudcore.hub.pacing import PacingSettings
from cloudcore.hub.settings import HubSettings
from protocol.frames import CloseCode
from protocol.objects.keys import NodeName
from tests.support.clouds import Edge, Holding, cloud, settle

pytestmark = pytest.mark.looptime


async def test_it_lists_again_where_it_fell_behind_and_sends_what_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cloud() as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        await settle()
        watch = c.store.watch
        missed = []

        class Lagging:
            """A watch that loses what happens and then says so."""

            def __aiter__(self) -> Lagging:
                return self

            async def __anext__(self) -> Any:
                monkeypatch.setattr(c.store, "watch", watch)
                await c.add_pod("kept", "n1")
                await c.client.delete("pods", "default", "gone", grace_s=0)
                missed.append(True)
                raise Gone("compacted")

        await c.add_pod("gone", "n1")
        await settle(until=lambda: edge.holding.names("pods") == ["gone"])
        monkeypatch.setattr(c.store, "watch", lambda *_, **__: Lagging())
        follower = c.spawn(c.hub._follow())
        await settle(until=lambda: missed and edge.holding.names("pods") == ["kept"])
        follower.cancel()


async def test_over_the_bound_a_node_is_told_when_to_come_back() -> None:
    settings = HubSettings(pacing=PacingSettings(opening=0, after_s=3.0))
    async with cloud(settings) as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        assert edge.closed is not None
        assert edge.closed.code == CloseCode.TRY_LATER
        assert edge.closed.retry_after_s >= 3.0
        assert c.hub.counters["turned_away"] == 1


async def test_a_drained_hub_turns_newcomers_away() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        first = await c.connect(Holding("n1"))
        await c.hub.drain()
        await settle(until=lambda: first.closed)
        assert first.closed is not None
        assert first.closed.code == CloseCode.GOING_AWAY
        late = await c.connect(Holding("n1"))
        assert late.closed is not None
        assert late.closed.code == CloseCode.TRY_LATER


async def test_node_links_speak_of_every_node() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        await c.connect(Holding("n1"))
        await settle()
        links = {link["metadata"]["name"]: link["status"] for link in c.hub.views.node_links()}
        assert links["n2"] == {"connected": False}
        assert links["n1"]["connected"] is True
        assert links["n1"]["epoch"] == c.hub.sessions[NodeName("n1")].link.epoch
        assert links["n1"]["pending"] == 0


async def test_a_silent_newcomer_does_not_keep_its_place() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        edge.near.cut()
        await settle(until=lambda: not c.hub.sessions)
        assert c.hub._opening == {}


async def test_one_node_takes_one_place_among_the_newcomers_however_often_it_comes() -> None:
    settings = HubSettings(pacing=PacingSettings(opening=2))
    async with cloud(settings) as c:
        await c.add_node("n1")
        await c.add_node("n2")
        silent = [Edge(c, Holding("n1")) for _ in range(4)]
        for edge in silent:
            c.spawn(edge.run())
        await settle(until=lambda: c.hub.counters["turned_away"] == len(silent) - 1)
        assert list(c.hub._opening) == [NodeName("n1")]
        assert (await c.connect(Holding("n2"))).closed is None
