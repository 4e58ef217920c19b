from __future__ import annotations

import pytest

from protocol.heartbeat import HeartbeatEncoder, Load, digest_mark
from protocol.messages import LATER, Verdict
from protocol.objects.keys import Body, NodeName, ObjectKey
from tests.support.clouds import Cloud, Edge, Holding, cloud, settle

pytestmark = pytest.mark.looptime


def status_of(running: Cloud, node: str = "edge-1") -> Body:
    sync = running.hub.views.node_sync(node)
    assert sync is not None
    assert sync["kind"] == "NodeSync"
    status: Body = sync["status"]
    return status


async def connected(running: Cloud) -> Edge:
    await running.add_node("edge-1")
    await settle()
    edge = await running.connect(Holding("edge-1"))
    await settle()
    return edge


def tell_digest(edge: Edge) -> None:
    mark = digest_mark(edge.holding.hello().digest)
    edge.heartbeat(HeartbeatEncoder().encode(Load(digest=mark)))


async def test_a_node_that_never_came_is_offline_and_its_needs_are_not_guessed() -> None:
    async with cloud() as running:
        await running.add_node("edge-1")
        await settle()
        status = status_of(running)
        assert (status["connected"], status["state"], status["slice"]) == (False, "Offline", {"objects": 1})
        assert status["digest"]["equal"] is None
        assert "pending" not in status
        assert running.hub.views.node_sync("nobody") is None


async def test_a_node_that_has_told_its_digest_since_is_in_sync() -> None:
    async with cloud() as running:
        edge = await connected(running)
        assert status_of(running)["digest"]["equal"] is None  # told with the hello, before it got anything
        tell_digest(edge)
        await settle()
        status = status_of(running)
        assert (status["state"], status["pendingTotal"], status["pending"]) == ("InSync", 0, [])
        assert status["digest"]["equal"] is True
        assert status["digest"]["edge"] == status["digest"]["cloud"]


async def test_a_node_that_tells_another_digest_with_nothing_owed_has_diverged() -> None:
    async with cloud() as running:
        edge = await connected(running)
        edge.heartbeat(HeartbeatEncoder().encode(Load(digest=7)))
        await settle()
        status = status_of(running)
        assert (status["state"], status["digest"]["edge"], status["digest"]["equal"]) == ("Diverged", "00000007", False)


async def test_what_is_not_acknowledged_is_listed_with_its_age_and_why() -> None:
    async with cloud() as running:
        edge = await connected(running)
        tell_digest(edge)
        edge.holds_back = True
        await running.add_pod("web", "edge-1")
        await settle()
        status = status_of(running)
        (row,) = status["pending"]
        assert (row["resource"], row["namespace"], row["name"]) == ("pods", "default", "web")
        assert (row["operation"], row["lane"], row["why"], row["sends"]) == ("put", "spec", "InFlight", 1)
        assert row["ageSeconds"] >= 1.0
        assert (status["state"], status["pendingTotal"]) == ("Pending", 1)
        assert [(lane["lane"], lane["queued"], lane["inFlight"]) for lane in status["lanes"]] == [("spec", 0, 1)]
        assert status["digest"]["equal"] is False
        (listed,) = running.hub.views.node_syncs()
        assert (listed["status"]["pendingTotal"], "pending" in listed["status"]) == (1, False)


async def test_what_the_node_wants_later_says_so() -> None:
    async with cloud() as running:
        edge = await connected(running)
        edge.answers[ObjectKey("pods", "default", "web")] = LATER
        await running.add_pod("web", "edge-1")
        await settle()
        (row,) = status_of(running)["pending"]
        assert row["why"] == "Later"
        assert row["putOff"] >= 1


async def test_what_the_node_rejected_is_listed_with_code_and_reason() -> None:
    async with cloud() as running:
        edge = await connected(running)
        edge.answers[ObjectKey("pods", "default", "web")] = Verdict.rejected("Invalid", "no: such runtime")
        await running.add_pod("web", "edge-1")
        await settle()
        status = status_of(running)
        assert status["state"] == "Rejected"
        assert status["rejected"] == [{"object": "pods/default/web", "code": "Invalid", "reason": "no: such runtime"}]


async def test_of_a_node_that_left_it_is_known_whether_its_slice_has_changed_since() -> None:
    async with cloud() as running:
        edge = await connected(running)
        tell_digest(edge)
        await settle()
        running.hub.sessions[NodeName("edge-1")].end(1001, "the test says so")
        await settle()
        status = status_of(running)
        assert (status["state"], status["closeCode"], status["reason"]) == ("Offline", 1001, "the test says so")
        assert status["digest"]["equal"] is True
        await running.add_pod("web", "edge-1")
        await settle()
        assert status_of(running)["digest"]["equal"] is False


async def test_a_deleted_node_leaves_nothing_behind() -> None:
    async with cloud() as running:
        await connected(running)
        running.hub.sessions[NodeName("edge-1")].end(1001, "the test says so")
        await settle()
        assert "edge-1" in running.hub.departures
        await running.client.delete("nodes", "", "edge-1")
        await settle()
        assert running.hub.departures == {}


async def test_the_days_bytes_of_a_node_are_shown_by_lane_and_kind_and_stay_when_it_leaves() -> None:
    async with cloud() as running:
        edge = await connected(running)
        await running.add_pod("web", "edge-1")
        await settle()
        traffic = status_of(running)["traffic"]
        assert (traffic["dailyBytes"], traffic["usedBytes"]) == (0, sum(row["bytes"] for row in traffic["today"]))
        assert ("sent", "spec", "pods") in {(row["direction"], row["lane"], row["kind"]) for row in traffic["today"]}
        edge.link.close(1000, "away", running.clock.monotonic())
        edge._driver.pump()
        await settle(until=lambda: not running.hub.sessions)
        away = status_of(running)
        assert away["state"] == "Offline"
        assert away["traffic"]["usedBytes"] >= traffic["usedBytes"]
        (listed,) = running.hub.views.node_syncs()
        assert "today" not in listed["status"]["traffic"]
