from __future__ import annotations

from protocol.messages import LATER, Lane
from protocol.payloads import Grant
from protocol.pending import LaneState, Why, lanes_of, pending_of
from tests.support.links import delete, exchange, link_pair, put, settle_all, transfer


def test_nothing_is_pending_on_an_idle_link() -> None:
    cloud, _ = link_pair()
    assert pending_of(cloud, 10, 0.0) == []
    assert lanes_of(cloud) == {}


def test_what_is_sent_is_in_flight_and_what_follows_waits_behind_it() -> None:
    cloud, edge = link_pair()
    cloud.send(put("web", 1), 1.0)
    transfer(cloud, edge, 2.0)
    cloud.send(put("web", 2), 3.0)
    cloud.send(delete("old"), 4.0)
    web, old = pending_of(cloud, 10, 0.0)
    assert (web.item.version, web.why, web.since, web.sent_at, web.sends, web.behind) == (
        1,
        Why.IN_FLIGHT,
        1.0,
        2.0,
        1,
        1,
    )
    assert (old.item.key.name, old.why, old.lane, old.sends) == ("old", Why.QUEUED, Lane.DELETE, 0)
    assert lanes_of(cloud) == {Lane.DELETE: LaneState(1, 0, 4.0), Lane.SPEC: LaneState(0, 1, 1.0)}
    assert len(pending_of(cloud, 1, 0.0)) == 1


def test_a_closed_window_is_the_reason() -> None:
    cloud, edge = link_pair()
    edge.grant(Grant(0, 0), 0.0)
    exchange(edge, cloud, 0.0)
    cloud.send(put("web"), 1.0)
    transfer(cloud, edge, 1.0)
    assert [each.why for each in pending_of(cloud, 10, 0.0)] == [Why.WINDOW]


def test_what_the_peer_wants_later_says_when() -> None:
    cloud, edge = link_pair()
    cloud.send(put("web"), 0.0)
    transfer(cloud, edge, 0.0)
    edge.next_event()
    edge.settle(1, [LATER], 0.0)
    exchange(edge, cloud, 0.0)
    (web,) = pending_of(cloud, 10, 0.0)
    assert (web.why, web.put_off, web.due_at) == (Why.LATER, 1, cloud.outbox.next_wake())


def test_a_session_that_drains_keeps_the_rest_for_the_next() -> None:
    cloud, edge = link_pair()
    cloud.go_away(1.0, 0.0)
    cloud.send(put("web"), 0.0)
    exchange(cloud, edge, 0.0)
    assert [each.why for each in pending_of(cloud, 10, 0.0)] == [Why.DRAINING]


def test_a_frame_that_was_lost_shows_how_often_it_was_sent() -> None:
    cloud, edge = link_pair()
    cloud.send(put("web"), 0.0)
    cloud.data_to_send(0.0)  # lost
    due = cloud.next_timer()
    assert due is not None
    cloud.handle_timer(due)
    cloud.data_to_send(due)
    assert [each.sends for each in pending_of(cloud, 10, 0.0)] == [2]
    settle_all(edge, due)


def test_what_the_daily_cap_holds_says_so() -> None:
    cloud, edge = link_pair()
    cloud.meter.tell_time(86_400.0 * 20_000, 0.0)
    cloud.meter.daily_bytes = 1
    cloud.send(put("web"), 0.0)
    transfer(cloud, edge, 0.0)
    assert [each.why for each in pending_of(cloud, 10, 0.0)] == [Why.HELD]
