"""Traces: what is followed, what is bounded, and what is believed of the edge's times."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.errors import Invalid, TooManyRequests
from cloudcore.hub.syncview import Moment
from cloudcore.hub.traceview import STEPS, armed_trace, object_traces
from cloudcore.hub.tracing import MAX_ARMED, MAX_RECENT, SAMPLES_BURST, NodeTrace, Tracing
from protocol.link import Link
from protocol.measures import Times
from protocol.objects.keys import Body, NodeName
from protocol.objects.times import parse_timestamp
from tests.support.clouds import Cloud, Edge, Holding, cloud, settle
from tests.support.links import link_pair, put

NOW = Moment(wall=1_790_000_000.0, monotonic=0.0)
N1 = NodeName("edge-1")


def asked(called: str = "trace-1", **spec: Any) -> Body:
    metadata = {"name": called, "uid": f"uid-{called}", "creationTimestamp": "2026-11-23T12:00:00Z"}
    return {"metadata": metadata, "spec": {"resource": "pods", "namespace": "default", "name": "web", **spec}}


def tracing_without_samples() -> Tracing:
    """Return a tracing that follows only what is armed."""
    tracing = Tracing()
    link, _ = link_pair()
    for number in range(int(SAMPLES_BURST)):
        tracing.dispatched(put(f"other-{number}"), N1, link, 0.0, committed=True)
    tracing.resumed(N1, 0.0)
    return tracing


def recorded(tracing: Tracing, name: str = "trace-1", now: float = 10.0) -> list[Body]:
    """Return the versions of one ObjectTrace."""
    moment = Moment(NOW.wall + now, now)
    versions: list[Body] = next(
        trace["status"]["versions"] for trace in object_traces(tracing, moment) if trace["metadata"]["name"] == name
    )
    return versions


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"resource": "deployments.apps"}, "spec.resource"),
        ({"name": ""}, "spec.name"),
        ({"node": 7}, "spec.node"),
        ({"versions": 0}, "spec.versions"),
        ({"versions": True}, "spec.versions"),
        ({"ttlSeconds": 3601}, "spec.ttlSeconds"),
    ],
)
def test_what_cannot_be_followed_is_refused_and_the_field_named(spec: Body, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        armed_trace(asked(**spec), NOW)
    assert [cause.field for cause in caught.value.causes] == [field]


def test_as_many_traces_as_may_be_and_no_more() -> None:
    tracing = Tracing()
    for number in range(MAX_ARMED):
        tracing.arm(armed_trace(asked(f"trace-{number}"), NOW), 0.0)
    with pytest.raises(TooManyRequests):
        tracing.arm(armed_trace(asked("one-more"), NOW), 0.0)
    tracing.arm(armed_trace(asked("later"), Moment(0.0, 301.0)), 301.0)  # the others have expired
    assert list(tracing.armed) == ["later"]


def test_samples_are_bounded_in_rate_and_number() -> None:
    tracing, (link, _) = Tracing(), link_pair()
    for number in range(100):
        tracing.dispatched(put(f"pod-{number}"), N1, link, 0.0, committed=True)
    assert len(tracing.recent) == SAMPLES_BURST
    for second in range(1, 3 * MAX_RECENT):
        tracing.tick(float(second))
        tracing.dispatched(put(f"late-{second}"), N1, link, float(second), committed=True)
    assert len(tracing.recent) == MAX_RECENT


def test_nothing_is_looked_at_while_nothing_is_to_be_followed() -> None:
    tracing = tracing_without_samples()
    for versions in list(tracing.recent.values()):
        for trace in versions.nodes.values():
            trace.outcome = "applied"
        tracing.close_finished(versions.key)
    tracing.tick(0.0)
    assert not tracing.active
    tracing.tick(1.0)
    assert tracing.active  # time for another sample


def test_a_trace_for_one_node_records_that_node_alone() -> None:
    tracing = tracing_without_samples()
    tracing.arm(armed_trace(asked(node="edge-2"), NOW), 0.0)
    for name in ("edge-1", "edge-2"):
        link, _ = link_pair()
        tracing.dispatched(put("web"), NodeName(name), link, 0.0, committed=True)
        assert (link.probe is not None) == (name == "edge-2")
    assert [node["node"] for node in recorded(tracing)[0]["nodes"]] == ["edge-2"]


def test_a_trace_takes_as_many_versions_as_it_was_asked_for() -> None:
    tracing, (link, _) = tracing_without_samples(), link_pair()
    tracing.arm(armed_trace(asked(versions=2), NOW), 0.0)
    for version in (1, 2, 3):
        tracing.dispatched(put("web", version), N1, link, 0.0, committed=True)
    assert [each["version"] for each in recorded(tracing)] == ["1", "2"]


def test_a_version_that_never_left_was_superseded() -> None:
    tracing, (link, edge) = tracing_without_samples(), link_pair()
    tracing.arm(armed_trace(asked(versions=2), NOW), 0.0)
    for version in (1, 2):
        hand(tracing, link, version)
    for frame in link.data_to_send(1.0):
        edge.receive(frame, 2.0)
    first, second = recorded(tracing)
    assert (first["nodes"][0]["outcome"], first["nodes"][0]["sent"]) == ("superseded", None)
    assert (second["nodes"][0]["outcome"], second["nodes"][0]["sends"]) == ("pending", 1)


def hand(tracing: Tracing, link: Link, version: int) -> None:
    tracing.dispatched(put("web", version), N1, link, 0.0, committed=True)
    link.send(put("web", version), 0.0)


@given(way=st.floats(0, 5), stay=st.floats(0, 5), commit=st.floats(0, 1), back=st.floats(0, 5), sent=st.floats(0, 1e6))
def test_the_edges_times_lie_between_ours_and_are_off_by_no_more_than_is_said(
    way: float, stay: float, commit: float, back: float, sent: float
) -> None:
    arrived, settled = sent + way, sent + way + commit * stay
    acked = sent + way + stay + back
    trace = NodeTrace(N1, sent, sent, acked_at=acked)
    trace.estimate(sent, acked, Times(stay, stay - commit * stay))
    assert trace.received_at is not None
    assert trace.applied_at is not None
    assert trace.uncertainty_s is not None
    assert sent <= trace.received_at <= trace.applied_at <= acked
    assert abs(trace.received_at - arrived) <= trace.uncertainty_s + 1e-6
    assert abs(trace.applied_at - settled) <= trace.uncertainty_s + 1e-6


async def traced(running: Cloud, **spec: Any) -> Edge:
    """Connect a node, let it settle, and arm a trace for its pod."""
    await running.add_node("edge-1")
    edge = await running.connect(Holding("edge-1"))
    await settle()
    running.hub.views.arm_trace(asked(**spec))
    return edge


def node_of(running: Cloud) -> Body:
    now = running.clock.monotonic()
    node: Body = recorded(running.hub.tracing, now=now)[0]["nodes"][0]
    return node


@pytest.mark.looptime
async def test_a_change_is_followed_from_commit_to_ack() -> None:
    async with cloud() as running:
        await traced(running)
        await running.add_pod("web", "edge-1")
        await settle()
        node = node_of(running)
        times = [parse_timestamp(node[field]) for field, _ in STEPS]
        assert times == sorted(times)
        assert (node["outcome"], node["sends"]) == ("applied", 1)
        assert running.hub.sessions[N1].link.probe is None
        (trace,) = [each for each in running.hub.views.object_traces() if each["metadata"]["name"] == "trace-1"]
        assert trace["status"]["state"] == "Complete"


@pytest.mark.looptime
async def test_what_the_edge_had_when_it_came_back_is_held() -> None:
    async with cloud() as running:
        edge = await traced(running)
        edge.holds_back = True
        await running.add_pod("web", "edge-1")
        await settle()
        assert node_of(running)["outcome"] == "pending"
        for event in edge.unacked:
            for item in event.items:
                edge.holding.apply(item)
        edge.near.cut()
        await settle()
        await running.connect(edge.holding)
        await settle()
        node = node_of(running)
        assert (node["outcome"], node["received"], node["applied"]) == ("held", None, None)


@pytest.mark.looptime
async def test_what_the_edge_lacked_when_it_came_back_is_followed_again() -> None:
    async with cloud() as running:
        edge = await traced(running)
        edge.holds_back = True
        await running.add_pod("web", "edge-1")
        await settle()
        edge.near.cut()
        await settle()
        await running.connect(edge.holding)
        await settle()
        node = node_of(running)
        assert (node["outcome"], node["sends"]) == ("applied", 2)
