"""Bytes by lane and kind, the day's boundary, and the cap."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.frames import FrameType
from protocol.link import Link, Side
from protocol.messages import Item, Lane, Op
from protocol.objects.keys import ObjectKey, Revision, Uid
from protocol.objects.resources import NODE_STATUS
from protocol.settings import LinkSettings
from protocol.traffic import ALL_LANES, DAY_S, MAX_KINDS, Direction, TrafficMeter
from tests.support.links import HELLO, WELCOME, command, delete, drain, exchange, output, put, settle_all

MORNING = 20_000 * DAY_S + 6 * 3600.0
MIDNIGHT = 18 * 3600.0  # monotonic: the time is told at 0


def told(daily_bytes: int = 0) -> TrafficMeter:
    meter = TrafficMeter(daily_bytes)
    meter.tell_time(MORNING, 0.0)
    return meter


def test_frames_are_counted_by_direction_lane_and_kind() -> None:
    meter = told()
    meter.note_frame(Direction.SENT, FrameType.ACK, 8, 1.0)
    meter.note_frame(Direction.RECEIVED, FrameType.VOLATILE, 30, 1.0)
    meter.note_batch(Direction.SENT, [put("a")], [Lane.SPEC], 100, 1.0)
    assert meter.today() == {
        ("sent", "control", "ack"): 8,
        ("received", "volatile", "heartbeat"): 30,
        ("sent", "spec", "pods"): 100,
    }
    assert meter.used_bytes == 138


def test_a_batch_is_shared_out_by_weight() -> None:
    meter = told()
    items = [put("a", body=bytes(936)), put("b", body=bytes(936)), put("c", resource="configmaps", body=bytes(1936))]
    meter.note_batch(Direction.SENT, items, [Lane.SPEC, Lane.SPEC, Lane.SPEC], 400, 1.0)
    assert meter.today() == {("sent", "spec", "pods"): 200, ("sent", "spec", "configmaps"): 200}


@given(
    st.lists(st.tuples(st.sampled_from(list(Lane)), st.sampled_from("abc"), st.integers(0, 5000)), min_size=1),
    st.integers(1, 100_000),
)
def test_no_byte_of_a_batch_is_lost_or_made_up(rows: list[tuple[Lane, str, int]], size_bytes: int) -> None:
    meter = told()
    items = [put("x", resource=resource, body=bytes(body)) for _, resource, body in rows]
    meter.note_batch(Direction.SENT, items, [lane for lane, _, _ in rows], size_bytes, 1.0)
    assert sum(meter.today().values()) == meter.used_bytes == size_bytes


def test_lanes_of_what_arrives_follow_from_the_items() -> None:
    meter = told()
    status = Item(Op.PUT, ObjectKey(NODE_STATUS, "", "edge-1"), Uid(""), Revision(1))
    for item in (put("a"), delete("a"), command("c"), status):
        meter.note_batch(Direction.RECEIVED, [item], None, 10, 1.0)
    assert {lane for _, lane, _ in meter.today()} == {"spec", "delete", "bulk", "lease"}


def test_a_peer_that_names_ever_new_kinds_is_counted_as_other() -> None:
    meter = told()
    for number in range(10 * MAX_KINDS):
        meter.note_batch(Direction.RECEIVED, [put("a", resource=f"kind{number}")], None, 1, 1.0)
    assert len(meter.total) == MAX_KINDS + 1
    assert meter.total["received", "spec", "other"] == 9 * MAX_KINDS


def test_a_new_day_begins_at_midnight_utc() -> None:
    meter = told()
    meter.note(Direction.SENT, "spec", "pods", 7, MIDNIGHT - 0.1)
    meter.note(Direction.SENT, "spec", "pods", 5, MIDNIGHT)
    assert (meter.day, meter.used_bytes, meter.today()) == (20_001, 5, {("sent", "spec", "pods"): 5})
    assert meter.total == {("sent", "spec", "pods"): 12}
    meter.note(Direction.SENT, "spec", "pods", 3, MIDNIGHT + 5 * DAY_S)
    assert (meter.day, meter.used_bytes) == (20_006, 3)


def test_a_clock_that_is_set_forward_opens_the_day_and_set_back_opens_none() -> None:
    meter = told()
    meter.note(Direction.SENT, "spec", "pods", 7, 1.0)
    meter.tell_time(MORNING + DAY_S, 2.0)
    assert meter.used_bytes == 0
    meter.note(Direction.SENT, "spec", "pods", 9, 3.0)
    meter.tell_time(MORNING, 4.0)
    assert (meter.day, meter.used_bytes) == (20_001, 9)


def test_what_is_held_under_a_clock_that_was_years_ahead_goes_at_the_next_midnight() -> None:
    meter = told(1000)
    meter.tell_time(MORNING + 4000 * DAY_S, 2.0)
    meter.note(Direction.SENT, "spec", "pods", 1000, 3.0)
    meter.tell_time(MORNING, 4.0)
    assert (meter.day, meter.used_bytes, meter.open_lanes(5.0)) == (20_000, 1000, Lane.DELETE)
    meter.tell_time(MORNING + DAY_S, 4.0 + DAY_S)
    assert (meter.day, meter.used_bytes, meter.open_lanes(5.0 + DAY_S)) == (20_001, 0, ALL_LANES)


def test_what_an_earlier_process_counted_counts_on_the_same_day_only() -> None:
    meter = told()
    meter.restore(19_999, 1000)
    assert meter.used_bytes == 0
    meter.restore(20_000, 1000)
    assert meter.used_bytes == 1000


@pytest.mark.parametrize(
    ("used", "lanes"),
    [(0, ALL_LANES), (799, ALL_LANES), (800, Lane.BULK), (949, Lane.BULK), (950, Lane.TWIN), (1000, Lane.DELETE)],
)
def test_the_cap_holds_the_least_urgent_first_and_leases_never(used: int, lanes: int) -> None:
    meter = told(1000)
    meter.note(Direction.RECEIVED, "spec", "pods", used, 1.0)
    assert meter.open_lanes(1.0) == lanes
    assert lanes > Lane.LEASE
    assert ("bulk" in meter.held(1.0)) == (lanes < ALL_LANES)
    assert meter.open_lanes(MIDNIGHT) == ALL_LANES


def metered_pair(daily_bytes: int) -> tuple[Link, Link]:
    meter = told(daily_bytes)
    cloud = Link(Side.CLOUD, LinkSettings(), Random(1), meter=meter)
    edge = Link(Side.EDGE, LinkSettings(), Random(2))
    edge.start(HELLO, 0.0)
    exchange(edge, cloud, 0.0)
    cloud.welcome(WELCOME, 0.0)
    exchange(cloud, edge, 0.0)
    drain(cloud), drain(edge)
    return cloud, edge


def test_both_ends_count_the_same_bytes() -> None:
    cloud, edge = metered_pair(0)
    for number in range(50):
        cloud.send(put(f"p{number}", body=Random(number).randbytes(300)), 1.0)
    edge.send(command("c"), 1.0)
    exchange(cloud, edge, 1.0)
    settle_all(cloud, 1.0), settle_all(edge, 1.0)
    exchange(cloud, edge, 1.0)
    assert cloud.meter.used_bytes == cloud.bytes_sent + cloud.bytes_received
    up = {"sent": "received", "received": "sent"}
    assert {(up[way], lane, kind): count for (way, lane, kind), count in edge.meter.total.items()} == cloud.meter.total


def test_what_the_cap_holds_stays_pending_is_shown_and_goes_at_midnight() -> None:
    cloud, edge = metered_pair(100_000)
    cloud.meter.note(Direction.SENT, "spec", "pods", 85_000, 1.0)
    cloud.send(command("bulk"), 1.0)
    cloud.send(put("spec"), 1.0)
    exchange(cloud, edge, 1.0)
    assert [item.key.name for item in settle_all(edge, 1.0)] == ["spec"]
    exchange(cloud, edge, 1.0)
    assert (len(cloud.outbox), cloud.depth(Lane.BULK)) == (1, 1)
    assert cloud.held.startswith("link.daily_bytes: 85")
    assert cloud.held.endswith("held until 00:00 UTC: bulk")
    assert output(cloud, 2.0) == []
    edge.send_volatile(b"beat", MIDNIGHT - 1.0)
    exchange(edge, cloud, MIDNIGHT - 1.0)
    assert settle_all(edge, MIDNIGHT - 1.0) == []
    cloud.handle_timer(MIDNIGHT)
    exchange(cloud, edge, MIDNIGHT)
    assert [item.id for item in settle_all(edge, MIDNIGHT)] == ["bulk"]
    exchange(cloud, edge, MIDNIGHT)
    assert (len(cloud.outbox), cloud.held) == (0, "")


def test_the_timer_of_a_held_link_is_midnight_at_the_latest() -> None:
    cloud, _edge = metered_pair(1000)
    cloud.meter.note(Direction.SENT, "spec", "pods", 2000, MIDNIGHT - 2.0)
    cloud.send(put("a"), MIDNIGHT - 2.0)
    assert output(cloud, MIDNIGHT - 2.0) == []
    due = cloud.next_timer()
    assert due is not None
    assert due <= MIDNIGHT


def test_a_raised_cap_lets_go_what_was_held() -> None:
    cloud, edge = metered_pair(1000)
    cloud.meter.note(Direction.SENT, "spec", "pods", 2000, 1.0)
    cloud.send(put("a"), 1.0)
    cloud.send_volatile(b"beat", 1.0)
    cloud.send(put("lease"), 1.0, Lane.LEASE)
    exchange(cloud, edge, 1.0)
    assert [item.key.name for item in settle_all(edge, 1.0)] == ["lease"]
    assert "spec" in cloud.held
    cloud.meter.daily_bytes = 10_000
    exchange(cloud, edge, 1.0)
    assert [item.key.name for item in settle_all(edge, 1.0)] == ["a"]
    assert cloud.held == ""
