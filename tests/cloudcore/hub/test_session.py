"""Sessions over the memory transport: what reaches the edge, what reaches the cloud, and who is let in."""

from __future__ import annotations

import msgpack
import pytest

from protocol.messages import Item, Op, Resume, Verdict
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid
from tests.support.clouds import Holding, cloud, settle

pytestmark = pytest.mark.looptime

N1 = NodeName("n1")


async def test_a_node_receives_its_slice_and_nothing_else() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        await c.add_config_map("mine")
        await c.add_config_map("unused")
        await c.add_pod("p1", "n1", config_map="mine")
        await c.add_pod("p2", "n2")
        edge = await c.connect(Holding("n1"))
        await settle()
        assert edge.holding.names("pods") == ["p1"]
        assert edge.holding.names("configmaps") == ["mine"]
        assert edge.holding.names("nodes") == ["n1"]
        assert c.hub.sessions[N1].in_sync


async def test_a_change_reaches_the_edge() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_config_map("cm", {"v": "1"})
        await c.add_pod("p", "n1", config_map="cm")
        edge = await c.connect(Holding("n1"))
        await settle()
        await c.client.patch("configmaps", "default", "cm", {"data": {"v": "2"}})
        await settle()
        assert edge.holding.objects[ObjectKey("configmaps", "default", "cm")][1]["data"] == {"v": "2"}


async def test_equal_digests_end_the_resume() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_pod("p", "n1")
        holding = Holding("n1")
        edge = await c.connect(holding)
        await settle()
        edge.near.cut()
        await settle()
        again = await c.connect(holding)
        await settle()
        assert again.welcome is not None
        assert again.welcome.resume is Resume.EQUAL
        assert again.received == []


async def test_only_the_difference_is_sent_deletions_included() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        for name in ("stays", "goes", "changes"):
            await c.add_pod(name, "n1")
        holding = Holding("n1")
        edge = await c.connect(holding)
        await settle()
        edge.near.cut()
        await settle()
        await c.client.delete("pods", "default", "goes", grace_s=0)
        await c.client.patch("pods", "default", "changes", {"metadata": {"labels": {"a": "b"}}})
        await c.add_pod("new", "n1")
        again = await c.connect(holding)
        await settle()
        *difference, last = again.received
        assert sorted((item.op, item.key.name) for item in difference) == [
            (Op.PUT, "changes"),
            (Op.PUT, "new"),
            (Op.DELETE, "goes"),
        ]
        assert (last.op, last.key) == (Op.COMMAND, ObjectKey("resume", "", "n1"))  # so the edge knows that this is all
        assert holding.names("pods") == ["changes", "new", "stays"]
        assert c.hub.sessions[N1].in_sync


async def test_another_incarnation_makes_every_version_void() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_pod("p", "n1")
        holding = Holding("n1")
        edge = await c.connect(holding)
        await settle()
        edge.near.cut()
        await settle()
        holding.incarnation = "before the restore"
        again = await c.connect(holding)
        await settle()
        assert again.welcome is not None
        assert again.welcome.resume is Resume.INVENTORY
        assert {item.key.name for item in again.received} >= {"p", "n1"}


async def test_what_was_not_acknowledged_comes_again_after_a_cut() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        holding = Holding("n1")
        edge = await c.connect(holding)
        await settle()
        edge.holds_back = True
        await c.add_pod("p", "n1")
        await settle()
        assert [item.key.name for item in edge.received][-1] == "p"
        edge.near.cut()
        await settle()
        assert holding.names("pods") == []
        await c.connect(holding)
        await settle()
        assert holding.names("pods") == ["p"]


@pytest.mark.parametrize("point", ["before delivery", "delivered, not acknowledged", "held", "while away"])
async def test_a_pod_made_again_under_its_name_ends_as_the_new_one_alone(point: str) -> None:
    async with cloud() as c:
        await c.add_node("n1")
        holding = Holding("n1")
        edge = await c.connect(holding)
        await settle()
        if point == "delivered, not acknowledged":
            edge.holds_back = True
        old = await c.add_pod("p", "n1")
        if point != "before delivery":
            await settle()
        if point == "while away":
            edge.near.cut()
            await settle()
        await c.client.delete("pods", "default", "p", grace_s=0)
        new = await c.add_pod("p", "n1")
        if point == "delivered, not acknowledged":
            await settle()
            edge.near.cut()
            await settle()
        if point in {"delivered, not acknowledged", "while away"}:
            edge = await c.connect(holding)
        await settle()
        entry, body = holding.objects[ObjectKey("pods", "default", "p")]
        assert entry.uid == new["metadata"]["uid"] != old["metadata"]["uid"]
        assert body["metadata"]["uid"] == entry.uid


async def test_a_rejected_item_shows_and_is_not_sent_again() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        edge.answers[ObjectKey("pods", "default", "p")] = Verdict.rejected("Invalid", "no such runtime")
        await c.add_pod("p", "n1")
        await settle(until=lambda: "ItemRejected" in c.recorder.reasons())
        await settle()
        assert [item.key.name for item in edge.received].count("p") == 1
        assert c.hub.sessions[N1].rejections == {"pods/default/p": "Invalid: no such runtime"}
        assert not c.hub.sessions[N1].in_sync


async def test_a_pod_status_is_stored_and_does_not_come_back_down() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        pod = await c.add_pod("p", "n1")
        edge = await c.connect(Holding("n1"))
        await settle()
        before = len(edge.received)
        edge.put("pods/status", "default", "p", pod["metadata"]["uid"], {"status": {"phase": "Running"}})
        await settle(until=lambda: edge.settled)
        await settle()
        assert (await c.client.get("pods", "default", "p"))["status"]["phase"] == "Running"
        assert edge.verdict("pods/status").outcome.name == "APPLIED"
        assert len(edge.received) == before


async def test_a_superseded_session_is_closed_and_settles_nothing_more() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        holding = Holding("n1")
        first = await c.connect(holding)
        await settle()
        first.holds_back = True
        await c.add_pod("p", "n1")
        await settle(until=lambda: first.unacked)
        second = await c.connect(holding)
        await settle()
        assert first.closed is not None
        assert first.closed.code == 4023
        assert c.hub.sessions[N1].link.epoch == second.link.epoch > first.link.epoch
        first.acknowledge(first.unacked[0])
        first.put("nodes/status", "", "n1", "", {"status": {"phase": "old"}})
        await settle()
        assert first.settled == []
        assert holding.names("pods") == ["p"]
        assert c.hub.sessions[N1].link.closed is None


async def test_a_report_of_a_superseded_session_that_was_under_way_does_not_overwrite_a_newer_one() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        pod = await c.add_pod("p", "n1")
        await c.connect(Holding("n1"))
        await settle()
        body = b"\x81\xa6status\x81\xa5phase\xa7Running"
        item = Item(Op.PUT, ObjectKey("pods/status", "default", "p"), Uid(pod["metadata"]["uid"]), Revision(0), body)
        verdicts = await c.hub.upstream.settle(N1, [item], lambda: False)
        assert [verdict.outcome.name for verdict in verdicts] == ["LATER"]
        assert (
            "phase" not in (await c.client.get("pods", "default", "p"))["status"]
            or (await c.client.get("pods", "default", "p"))["status"]["phase"] == "Pending"
        )


async def test_a_malicious_frame_ends_its_session_alone() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_node("n2")
        good, bad = await c.connect(Holding("n1")), await c.connect(Holding("n2"))
        bad.raw(b"\x3f\x00\x00\x00\x00rubbish")
        await settle(until=lambda: bad.closed)
        assert bad.closed is not None
        assert bad.closed.code == 4001
        await c.add_pod("p", "n1")
        await settle()
        assert good.holding.names("pods") == ["p"]
        assert "n2" not in c.hub.sessions


async def test_a_slow_edge_owes_one_entry_per_object() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        await c.add_config_map("cm")
        await c.add_pod("p", "n1", config_map="cm")
        edge = await c.connect(Holding("n1"))
        await settle()
        edge.holds_back = True
        for version in range(50):
            await c.client.patch("configmaps", "default", "cm", {"data": {"v": str(version)}})
        await settle()
        assert len(c.hub.sessions[N1].link.outbox) == 1
        while edge.unacked:
            edge.acknowledge(edge.unacked.pop(0))
            edge.holds_back = False
            await settle()
        assert edge.holding.objects[ObjectKey("configmaps", "default", "cm")][1]["data"]["v"] == "49"


async def test_an_edge_that_says_nothing_is_dropped() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        edge.near.faults.drop = 1.0
        await settle(until=lambda: "n1" not in c.hub.sessions)
        assert c.hub.counters["ended"] == 1


async def test_a_heartbeat_renews_the_lease_and_carries_the_load() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        edge.heartbeat(msgpack.packb({0: 250, 1: 500, 6: 12_300}))
        await settle()
        lease = await c.client.get("leases.coordination.k8s.io", "kube-node-lease", "n1")
        assert lease["spec"]["holderIdentity"] == "n1"
        edge.heartbeat()
        await settle()
        renewed = await c.client.get("leases.coordination.k8s.io", "kube-node-lease", "n1")
        assert renewed["spec"]["renewTime"] > lease["spec"]["renewTime"]
        (link,) = c.hub.views.node_links()
        assert link["status"]["load"] == {"cpu": 0.25, "memory": 0.5}
        assert link["status"]["rttMs"] == 12.3
        assert link["status"]["connected"] is True
        assert link["status"]["inSync"] is True


async def test_a_malformed_heartbeat_ends_the_session() -> None:
    async with cloud() as c:
        await c.add_node("n1")
        edge = await c.connect(Holding("n1"))
        edge.heartbeat(b"\xc1")
        await settle(until=lambda: edge.closed)
        assert edge.closed is not None
        assert edge.closed.code == 4000
