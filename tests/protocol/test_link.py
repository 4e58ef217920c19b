from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import pytest

from protocol.backoff import RetryPolicy
from protocol.compression import Codec
from protocol.errors import LocalProtocolError
from protocol.events import (
    Closed,
    Event,
    GoingAway,
    HelloReceived,
    InventoryReceived,
    Received,
    Settled,
    VolatileReceived,
    WelcomeReceived,
)
from protocol.flood import BURST
from protocol.frames import MAX_BODY_BYTES, CloseCode, FrameType, decode_frame, encode_frame
from protocol.link import Link, Side, State
from protocol.messages import APPLIED, LATER, InventoryEntry, Item, Lane, Resume, Verdict
from protocol.outbox import ITEM_OVERHEAD_BYTES, Outbox
from protocol.payloads import (
    Ack,
    Grant,
    encode_ack,
    encode_batch,
    encode_hello,
    encode_inventory,
    encode_number,
    encode_volatile,
)
from protocol.settings import LinkSettings
from tests.support.links import (
    HELLO,
    WELCOME,
    command,
    delete,
    drain,
    exchange,
    link_pair,
    only,
    output,
    put,
    settle_all,
    transfer,
)

SURE = RetryPolicy(jitter=False)


def entry(name: str, version: int = 1) -> InventoryEntry:
    item = put(name, version)
    return InventoryEntry(item.key, item.uid, item.version)


def frame(kind: FrameType, payload: bytes, *, epoch: int = WELCOME.epoch) -> bytes:
    return encode_frame(kind, epoch, payload)


def kinds(frames: list[bytes]) -> list[FrameType]:
    return [decode_frame(data).type for data in frames]


def ended(link: Link) -> Closed:
    """Return how the link ended, after checking that it is its last event and that it is inert since."""
    events = drain(link)
    assert isinstance(events[-1], Closed)
    assert link.state is State.CLOSED
    assert link.closed == events[-1]
    assert link.next_timer() is None
    link.handle_timer(1e9)
    link.receive(b"anything", 1e9)
    link.check_invariants()
    assert drain(link) == []
    return events[-1]


# Delivery.


def test_an_item_is_received_settled_and_acknowledged() -> None:
    cloud, edge = link_pair()
    cloud.send(put("a"), now=1.0)
    transfer(cloud, edge, now=1.0)
    assert cloud.in_flight == 1
    assert cloud.lag_s(now=3.0) == 2.0
    received = only(edge, Received)
    assert received == Received(1, WELCOME.epoch, [put("a")])
    assert edge.unsettled == 1
    assert output(edge, now=1.0) == []  # no ack before the owner's commit
    edge.settle(received.batch, None, now=1.0)
    assert transfer(edge, cloud, now=1.0) == 1
    settled = only(cloud, Settled)
    assert list(zip(settled.items, settled.verdicts, strict=True)) == [(put("a"), APPLIED)]
    assert len(cloud.outbox) == cloud.in_flight == edge.unsettled == 0
    assert cloud.lag_s(now=3.0) == 0.0


def test_both_directions_carry_items() -> None:
    cloud, edge = link_pair()
    cloud.send(put("down"), 0.0)
    edge.send(put("up"), 0.0)
    exchange(cloud, edge, 0.0)
    assert settle_all(edge, 0.0) == [put("down")]
    assert settle_all(cloud, 0.0) == [put("up")]
    exchange(cloud, edge, 0.0)
    assert len(cloud.outbox) == len(edge.outbox) == 0


def test_all_of_an_item_survives_the_wire() -> None:
    cloud, edge = link_pair()
    items = [
        put("a", 2**40, body=bytes(range(256))),
        Item(delete("ü").op, put("ü").key, put("ü").uid, put("ü").version),
        command("id-1", b"do it"),
    ]
    for item in items:
        cloud.send(item, 0.0)
    transfer(cloud, edge, 0.0)
    received = only(edge, Received)
    assert sorted(received.items) == sorted(items)
    assert all(type(item) is Item and type(item.key) is type(items[0].key) for item in received.items)
    assert all(item.op is wanted.op for item, wanted in zip(sorted(received.items), sorted(items), strict=True))


def test_an_item_sent_before_the_session_opens_waits_for_it() -> None:
    outbox = Outbox()
    outbox.put(put("early"), 0.0)
    cloud, edge = link_pair(edge_outbox=outbox)
    transfer(edge, cloud, 0.0)
    assert settle_all(cloud, 0.0) == [put("early")]


def test_a_hot_key_has_one_item_in_flight_and_the_newest_follows() -> None:
    cloud, edge = link_pair()
    cloud.send(put("a", 1), 0.0)
    transfer(cloud, edge, 0.0)
    for version in range(2, 50):
        cloud.send(put("a", version), 0.0)
    assert transfer(cloud, edge, 1.0) == 0
    assert settle_all(edge, 1.0) == [put("a", 1)]
    exchange(edge, cloud, 1.0)
    assert settle_all(edge, 1.0) == [put("a", 49)]


def test_batches_may_be_settled_in_any_order_and_are_acked_cumulatively() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(max_batch_items=1, batch_bytes=0))
    for name in "abc":
        cloud.send(put(name), 0.0)
    transfer(cloud, edge, 0.0)
    first, second, third = (event for event in drain(edge) if isinstance(event, Received))
    edge.settle(third.batch, None, 0.0)
    edge.settle(second.batch, None, 0.0)
    assert output(edge, 0.0) == []
    edge.settle(first.batch, None, 0.0)
    assert transfer(edge, cloud, 0.0) == 1
    assert list(only(cloud, Settled).items) == [put("a"), put("b"), put("c")]


def test_a_body_over_the_limit_is_refused_where_it_is_sent() -> None:
    cloud, _ = link_pair()
    with pytest.raises(LocalProtocolError):
        cloud.send(put("a", body=bytes(MAX_BODY_BYTES + 1)), 0.0)


def test_the_largest_body_passes() -> None:
    cloud, edge = link_pair()
    largest = put("a", body=Random(1).randbytes(MAX_BODY_BYTES))
    cloud.send(largest, 0.0)
    transfer(cloud, edge, 0.0)
    assert settle_all(edge, 0.0) == [largest]


# Verdicts.


def test_each_item_gets_its_own_verdict() -> None:
    cloud, edge = link_pair()
    for name in "abc":
        cloud.send(put(name), 0.0)
    transfer(cloud, edge, 0.0)
    refusal = Verdict.rejected("Invalid", "no such thing")
    edge.settle(only(edge, Received).batch, [APPLIED, refusal, LATER], 0.0)
    transfer(edge, cloud, 0.0)
    settled = only(cloud, Settled)
    assert list(settled.items) == [put("a"), put("b")]
    assert list(settled.verdicts) == [APPLIED, refusal]
    assert list(cloud.outbox.items()) == [put("c")]


def test_later_comes_back_after_its_delay_without_holding_up_others() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(later=RetryPolicy(max_retries=None, jitter=False)))
    cloud.send(put("a"), 0.0)
    for due, delay in ((1.0, 1.0), (3.0, 2.0), (7.0, 4.0)):
        transfer(cloud, edge, due - delay)
        edge.settle(only(edge, Received).batch, [LATER], due - delay)
        transfer(edge, cloud, due - delay)
        assert drain(cloud) == []
        assert cloud.next_timer() == due
        cloud.send(put("b", int(due)), due - delay)
        transfer(cloud, edge, due - delay)
        assert settle_all(edge, due - delay) == [put("b", int(due))]
        transfer(edge, cloud, due - delay)
        drain(cloud)
        cloud.handle_timer(due)
    transfer(cloud, edge, 7.0)
    assert settle_all(edge, 7.0) == [put("a")]


def test_a_wrong_number_of_verdicts_is_a_local_error() -> None:
    cloud, edge = link_pair()
    cloud.send(put("a"), 0.0)
    transfer(cloud, edge, 0.0)
    batch = only(edge, Received).batch
    with pytest.raises(LocalProtocolError):
        edge.settle(batch, [], 0.0)
    edge.settle(batch, [APPLIED], 0.0)
    with pytest.raises(LocalProtocolError):
        edge.settle(batch, None, 0.0)


def test_a_lost_ack_with_exceptions_is_told_again() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(max_batch_items=1, batch_bytes=0, redelivery=SURE))
    refusal = Verdict.rejected("Invalid", "no")
    for name in "ab":
        cloud.send(put(name), 0.0)
    transfer(cloud, edge, 0.0)
    first, second = (event for event in drain(edge) if isinstance(event, Received))
    edge.settle(first.batch, [refusal], 0.0)
    assert kinds(output(edge, 0.0)) == [FrameType.ACK]  # lost
    edge.settle(second.batch, None, 0.0)
    transfer(edge, cloud, 0.0)
    assert list(only(cloud, Settled).verdicts) == [refusal, APPLIED]
    cloud.send(put("c"), 0.0)  # confirms what was processed
    transfer(cloud, edge, 0.0)
    edge.settle(only(edge, Received).batch, None, 0.0)
    assert len(output(edge, 0.0)[0]) < 10


# Loss, duplicates, gaps.


def test_a_lost_batch_is_sent_again() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(redelivery=SURE, floor_bytes_s=inf))
    cloud.send(put("a"), 0.0)
    assert kinds(output(cloud, 0.0)) == [FrameType.BATCH]
    retry_at = cloud.next_timer()
    assert retry_at == 6.0  # 5 s for the attempt, 1 s before the first retry
    cloud.handle_timer(retry_at)
    transfer(cloud, edge, retry_at)
    assert only(edge, Received).items == [put("a")]


def test_an_unreceived_batch_is_given_up_after_the_last_retry() -> None:
    cloud, _ = link_pair(
        cloud=LinkSettings(redelivery=SURE, dead_s=1e6, keepalive_s=1e6, floor_bytes_s=inf), welcome=FAR_KEEPALIVE
    )
    cloud.send(put("a"), 0.0)
    output(cloud, 0.0)
    times = []
    while (due := cloud.next_timer()) is not None:
        times.append(due)
        cloud.handle_timer(due)
        output(cloud, due)
    assert times == [6.0, 13.0, 22.0, 35.0]
    assert ended(cloud).code == CloseCode.NOT_DELIVERED
    assert list(cloud.outbox.items()) == [put("a")]  # a new session offers it again


FAR_KEEPALIVE = replace(WELCOME, keepalive_s=1e6)


def test_a_busy_link_waits_for_min_bytes_only() -> None:
    cloud, _ = link_pair(cloud=LinkSettings(min_bytes=1000))
    cloud.send(put("first"), 0.0)
    assert len(output(cloud, 0.0)) == 1
    cloud.send(put("a", body=bytes(500)), 0.0)
    assert output(cloud, 0.0) == []
    assert cloud.next_timer() == pytest.approx(0.020)
    cloud.send(put("b", body=bytes(500)), 0.0)
    assert len(output(cloud, 0.0)) == 1


def test_what_is_under_way_on_a_slow_link_is_not_sent_again() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(redelivery=SURE, dead_s=1e6, keepalive_s=1e6), welcome=FAR_KEEPALIVE)
    cloud.send(put("a", body=Random(1).randbytes(1_000_000)), 0.0)
    (frame,) = output(cloud, 0.0)
    due = cloud.next_timer()
    assert due is not None
    assert due == pytest.approx(6.0 + len(frame) / LinkSettings().floor_bytes_s)
    edge.receive(frame, 128.0)  # a megabyte at 64 kbit/s
    assert len(settle_all(edge, 128.0)) == 1
    transfer(edge, cloud, 128.0)
    cloud.send(put("b"), 200.0)
    output(cloud, 200.0)
    assert (cloud.next_timer() or 0.0) == pytest.approx(206.0, abs=0.1)  # what has arrived is no excuse


def test_a_part_of_a_frame_keeps_the_peer_alive() -> None:
    cloud, _ = link_pair()
    cloud.handle_timer(12.0)
    cloud.heard(14.0)
    cloud.handle_timer(28.0)
    assert cloud.state is State.OPEN
    cloud.handle_timer(29.0)
    assert only(cloud, Closed).code == CloseCode.DEAD_PEER


def test_a_slow_commit_is_waited_for_without_end() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(redelivery=SURE, dead_s=1e6, floor_bytes_s=inf), welcome=FAR_KEEPALIVE)
    cloud.send(put("a"), 0.0)
    transfer(cloud, edge, 0.0)
    batch = only(edge, Received).batch
    cloud.handle_timer(6.0)
    exchange(cloud, edge, 6.0)  # the repeat is answered: received, not settled
    assert drain(edge) == drain(cloud) == []
    assert (cloud.next_timer() or 0.0) > 1e5
    edge.settle(batch, None, 600.0)
    transfer(edge, cloud, 600.0)
    assert list(only(cloud, Settled).items) == [put("a")]


def test_a_gap_is_reported_once_and_filled_from_the_missing_frame_on() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(max_batch_items=1, batch_bytes=0))
    for name in "abcd":
        cloud.send(put(name), 0.0)
    first, _lost, third, fourth = output(cloud, 0.0)
    for data in (first, third, fourth):
        edge.receive(data, 0.0)
    answer = output(edge, 0.0)
    assert kinds(answer) == [FrameType.NACK]
    cloud.receive(answer[0], 0.0)
    again = output(cloud, 0.0)
    assert len(again) == 3
    for data in again:
        edge.receive(data, 0.0)
    assert [item.key.name for item in settle_all(edge, 0.0)] == ["a", "b", "c", "d"]


def test_a_repeated_frame_is_delivered_once() -> None:
    cloud, edge = link_pair()
    cloud.send(put("a"), 0.0)
    (data,) = output(cloud, 0.0)
    for _ in range(3):
        edge.receive(data, 0.0)
    assert settle_all(edge, 0.0) == [put("a")]
    edge.receive(data, 0.0)
    assert settle_all(edge, 0.0) == []
    assert kinds(output(edge, 0.0)) == [FrameType.ACK]


def test_a_nack_of_what_was_received_changes_nothing() -> None:
    cloud, edge = link_pair()
    cloud.send(put("a"), 0.0)
    transfer(cloud, edge, 0.0)
    cloud.receive(frame(FrameType.NACK, encode_number(1)), 0.0)
    cloud.receive(frame(FrameType.NACK, encode_number(99)), 0.0)
    assert output(cloud, 0.0) == []


# Window and batching.


def test_a_closed_window_stops_the_sender_and_drops_nothing() -> None:
    cloud, edge = link_pair(edge=LinkSettings(window=Grant(2, 10_000)), cloud=LinkSettings(batch_bytes=0))
    for name in "abcde":
        cloud.send(put(name), 0.0)
    exchange(cloud, edge, 0.0)
    assert [len(event.items) for event in drain(edge) if isinstance(event, Received)] == [2]
    assert output(cloud, 100.0) == []
    assert cloud.depth(Lane.SPEC) == 3
    edge.settle(1, None, 0.0)
    transfer(edge, cloud, 0.0)
    transfer(cloud, edge, 0.0)
    assert [item.key.name for item in settle_all(edge, 0.0)] == ["c", "d"]


def test_bytes_close_the_window_too() -> None:
    weight = 100 + ITEM_OVERHEAD_BYTES
    cloud, edge = link_pair(edge=LinkSettings(window=Grant(100, 2 * weight)), cloud=LinkSettings(batch_bytes=0))
    for name in "abc":
        cloud.send(put(name, body=bytes(100)), 0.0)
    exchange(cloud, edge, 0.0)
    assert [len(event.items) for event in drain(edge) if isinstance(event, Received)] == [2]


def test_the_window_can_be_shut_and_opened_again() -> None:
    cloud, edge = link_pair()
    edge.grant(Grant(0, 0), 0.0)
    transfer(edge, cloud, 0.0)
    cloud.send(put("a"), 0.0)
    assert output(cloud, 0.0) == []
    edge.grant(Grant(10, 10_000), 0.0)
    edge.grant(Grant(10, 10_000), 0.0)
    exchange(edge, cloud, 0.0)
    assert settle_all(edge, 0.0) == [put("a")]


def test_a_window_over_the_limit_is_a_local_error() -> None:
    _, edge = link_pair()
    with pytest.raises(LocalProtocolError):
        edge.grant(Grant(4097, 1), 0.0)
    with pytest.raises(LocalProtocolError):
        Link(Side.EDGE, LinkSettings(window=Grant(4097, 1)), Random(1))


def test_a_peer_that_ignores_the_window_is_cut_off() -> None:
    _, edge = link_pair(edge=LinkSettings(window=Grant(1, 1000)))
    edge.receive(frame(FrameType.BATCH, encode_batch(1, 0, [put("a"), put("b")])), 0.0)
    assert ended(edge).code == CloseCode.WINDOW_EXCEEDED


def test_a_peer_that_confirms_an_ack_that_was_never_sent_is_cut_off() -> None:
    _, edge = link_pair()
    edge.receive(frame(FrameType.BATCH, encode_batch(1, 1, [put("a")])), 0.0)
    assert ended(edge).code == CloseCode.BAD_ACK


def test_a_peer_that_never_confirms_cannot_make_the_exceptions_grow() -> None:
    _, edge = link_pair(edge=LinkSettings(window=Grant(3, 1 << 20)))
    for number in range(1, 4):
        edge.receive(frame(FrameType.BATCH, encode_batch(number, 0, [put(f"p{number}")])), 0.0)
        edge.settle(number, [Verdict.rejected("Invalid", "no")], 0.0)
        output(edge, 0.0)
    assert edge.closed is None
    edge.receive(frame(FrameType.BATCH, encode_batch(4, 0, [put("p4")])), 0.0)
    assert ended(edge).code == CloseCode.WINDOW_EXCEEDED


def test_while_a_batch_is_in_flight_the_next_lingers() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(linger_s=0.020))
    cloud.send(put("a"), 0.0)
    assert transfer(cloud, edge, 0.0) == 1  # idle: at once
    cloud.send(put("b"), 1.0)
    assert transfer(cloud, edge, 1.0) == 0
    cloud.send(put("c"), 1.01)
    assert transfer(cloud, edge, 1.01) == 0
    assert cloud.next_timer() == 1.020
    cloud.handle_timer(1.020)
    assert transfer(cloud, edge, 1.020) == 1
    assert [len(event.items) for event in drain(edge) if isinstance(event, Received)] == [1, 2]


@pytest.mark.parametrize("hurry", ["weight", "lease", "ack"])
def test_lingering_ends_early(hurry: str) -> None:
    cloud, edge = link_pair(cloud=LinkSettings(batch_bytes=1000))
    cloud.send(put("a"), 0.0)
    transfer(cloud, edge, 0.0)
    cloud.send(put("b"), 0.0)
    assert transfer(cloud, edge, 0.0) == 0
    if hurry == "weight":
        cloud.send(put("c", body=bytes(1000)), 0.0)
    elif hurry == "lease":
        cloud.send(put("c"), 0.0, Lane.LEASE)
    else:
        settle_all(edge, 0.0)
        transfer(edge, cloud, 0.0)
    assert transfer(cloud, edge, 0.0) == 1


def test_one_call_returns_a_burst_and_asks_to_be_called_again() -> None:
    cloud, _ = link_pair(cloud=LinkSettings(max_batch_bytes=1000, burst_bytes=2000, batch_bytes=0))
    for index in range(20):
        cloud.send(put(f"p{index}", body=bytes(300)), 0.0)
    assert 1 < len(cloud.data_to_send(5.0)) < 5
    assert cloud.next_timer() == 5.0
    output(cloud, 5.0)
    assert (cloud.next_timer() or 0.0) > 5.0


@pytest.mark.parametrize("codec", list(Codec))
def test_large_payloads_are_compressed_small_ones_are_not(codec: Codec) -> None:
    cloud, edge = link_pair(cloud=LinkSettings(codec=codec))
    cloud.send(put("a", body=bytes(5000)), 0.0)
    (data,) = output(cloud, 0.0)
    assert data[0] >> 6 == (Codec.ZSTD_DICTIONARY if codec is Codec.ZSTD else codec)
    assert (len(data) < 1000) == (codec is not Codec.NONE)
    edge.receive(data, 0.0)
    assert settle_all(edge, 0.0) == [put("a", body=bytes(5000))]
    transfer(edge, cloud, 0.0)
    cloud.send(put("b", body=b""), 0.0)
    assert output(cloud, 0.0)[0][0] >> 6 == Codec.NONE


def test_bodies_that_do_not_shrink_are_not_tried_each_time() -> None:
    cloud, edge = link_pair()
    rng = Random(1)
    codecs = []
    for turn in range(20):
        cloud.send(put("a", turn, body=rng.randbytes(5000) if turn < 2 else bytes(5000)), 0.0)
        (data,) = output(cloud, 0.0)
        codecs.append(data[0] >> 6)
        edge.receive(data, 0.0)
        settle_all(edge, 0.0)
        transfer(edge, cloud, 0.0)
    assert codecs == [Codec.NONE] * 9 + [Codec.ZSTD_DICTIONARY] * 11


def test_bytes_are_counted() -> None:
    cloud, edge = link_pair()
    assert cloud.bytes_sent == edge.bytes_received > 0
    assert edge.bytes_sent == cloud.bytes_received > 0


# Handshake.


def new_link(side: Side) -> Link:
    return Link(side, LinkSettings(), Random(1))


def test_the_owner_refuses_an_edge_with_code_and_pacing() -> None:
    cloud, edge = new_link(Side.CLOUD), new_link(Side.EDGE)
    edge.start(HELLO, 0.0)
    transfer(edge, cloud, 0.0)
    only(cloud, HelloReceived)
    cloud.refuse(CloseCode.TRY_LATER, "busy", 0.0, retry_after_s=7.0)
    transfer(cloud, edge, 0.0)
    assert ended(edge) == Closed(CloseCode.TRY_LATER, "busy", 7.0, remote=True)
    assert ended(cloud) == Closed(CloseCode.TRY_LATER, "busy", 7.0)


def test_an_unknown_version_gets_an_error_frame_and_a_code() -> None:
    cloud, edge = new_link(Side.CLOUD), new_link(Side.EDGE)
    edge.start(replace(HELLO, protocol_version=99), 0.0)
    transfer(edge, cloud, 0.0)
    assert ended(cloud).code == CloseCode.UNKNOWN_VERSION
    transfer(cloud, edge, 0.0)
    closed = ended(edge)
    assert closed.code == CloseCode.UNKNOWN_VERSION
    assert "99" in closed.reason


@pytest.mark.parametrize("side", list(Side))
def test_a_handshake_that_takes_too_long_ends(side: Side) -> None:
    link = new_link(side)
    if side is Side.EDGE:
        link.start(HELLO, 0.0)
    due = link.next_timer()
    assert due == 10.0
    link.handle_timer(9.9)
    assert link.state is not State.CLOSED
    link.handle_timer(due)
    assert ended(link).code == CloseCode.HANDSHAKE_TIMEOUT


def test_a_welcome_must_bring_a_newer_epoch() -> None:
    cloud, edge = new_link(Side.CLOUD), new_link(Side.EDGE)
    edge.start(replace(HELLO, epoch=6), 0.0)
    transfer(edge, cloud, 0.0)
    with pytest.raises(LocalProtocolError):
        cloud.welcome(replace(WELCOME, epoch=6), 0.0)
    cloud.welcome(WELCOME, 0.0)
    liar = new_link(Side.EDGE)
    liar.start(replace(HELLO, epoch=7), 0.0)
    for data in output(cloud, 0.0):
        liar.receive(data, 0.0)
    assert ended(liar).code == CloseCode.STALE_EPOCH


def test_calls_out_of_turn_are_local_errors() -> None:
    cloud, edge = link_pair()
    with pytest.raises(LocalProtocolError):
        cloud.start(HELLO, 0.0)
    with pytest.raises(LocalProtocolError):
        edge.start(HELLO, 0.0)
    with pytest.raises(LocalProtocolError):
        edge.welcome(WELCOME, 0.0)
    with pytest.raises(LocalProtocolError):
        cloud.welcome(WELCOME, 0.0)
    with pytest.raises(LocalProtocolError):
        cloud.send_inventory([], 0.0)


def test_a_codec_the_peer_cannot_read_is_not_used() -> None:
    cloud = Link(Side.CLOUD, LinkSettings(codec=Codec.SNAPPY), Random(1))
    hello = encode_hello(HELLO, cloud._offer()._replace(codecs=frozenset({Codec.NONE, Codec.ZSTD})))
    cloud.receive(frame(FrameType.HELLO, hello, epoch=0), 0.0)
    cloud.welcome(WELCOME, 0.0)
    cloud.send(put("a", body=bytes(5000)), 0.0)
    assert output(cloud, 0.0)[-1][0] >> 6 == Codec.ZSTD


# Epochs and outliving sessions.


def test_a_frame_of_another_epoch_ends_the_session_unapplied() -> None:
    old_cloud, old_edge = link_pair()
    new_cloud, new_edge = link_pair(welcome=replace(WELCOME, epoch=8))
    old_cloud.send(put("a"), 0.0)
    for data in output(old_cloud, 0.0):
        new_edge.receive(data, 0.0)
    assert drain(new_edge) == [new_edge.closed]
    assert new_edge.closed is not None
    assert new_edge.closed.code == CloseCode.STALE_EPOCH
    new_cloud.send(put("a"), 0.0)
    output(new_cloud, 0.0)
    new_cloud.receive(frame(FrameType.ACK, encode_ack(Ack(1, 1)), epoch=7), 0.0)
    assert ended(new_cloud).code == CloseCode.STALE_EPOCH
    assert old_edge.state is State.OPEN


def test_epochs_beyond_32_bits_are_told_apart_by_their_low_bits() -> None:
    cloud, edge = link_pair(welcome=replace(WELCOME, epoch=(1 << 40) + 5))
    cloud.send(put("a"), 0.0)
    transfer(cloud, edge, 0.0)
    assert only(edge, Received).epoch == (1 << 40) + 5


@pytest.mark.parametrize("act", ["ack", "send", "timer"])
def test_an_older_link_can_do_nothing_once_the_outbox_has_moved_on(act: str) -> None:
    outbox = Outbox()
    old, old_edge = link_pair(cloud_outbox=outbox)
    old.send(put("a", 1), 0.0)
    transfer(old, old_edge, 0.0)
    settle_all(old_edge, 0.0)
    new, edge = link_pair(cloud_outbox=outbox)
    if act == "ack":
        transfer(old_edge, old, 0.0)
    elif act == "send":
        output(old, 0.0)
    else:
        old.handle_timer(0.0)
    assert ended(old).code == CloseCode.SUPERSEDED
    transfer(new, edge, 0.0)
    assert settle_all(edge, 0.0) == [put("a", 1)]


def test_settling_after_the_end_does_nothing() -> None:
    cloud, edge = link_pair()
    cloud.send(put("a"), 0.0)
    transfer(cloud, edge, 0.0)
    edge.connection_lost(1006, "cable")
    edge.settle(1, None, 0.0)
    assert output(edge, 0.0) == []
    assert ended(edge) == Closed(1006, "cable", remote=True)
    edge.connection_lost(1006, "cable")
    assert drain(edge) == []


def test_an_answer_that_comes_after_the_end_does_nothing() -> None:
    cloud, edge = new_link(Side.CLOUD), new_link(Side.EDGE)
    edge.start(HELLO, 0.0)
    transfer(edge, cloud, 0.0)
    cloud.connection_lost(1006, "cable")
    cloud.welcome(WELCOME, 0.0)
    cloud.refuse(CloseCode.TRY_LATER, "busy", 0.0)
    edge.connection_lost(1006, "cable")
    edge.send_inventory([], 0.0)
    assert output(cloud, 0.0) == output(edge, 0.0) == []


# Inventory.


@pytest.mark.parametrize("count", [0, 1, 1000, 1001, 3500])
def test_an_inventory_arrives_whole(count: int) -> None:
    cloud, edge = link_pair(welcome=replace(WELCOME, resume=Resume.INVENTORY))
    entries = [entry(f"p{index}") for index in range(count)]
    edge.send_inventory(entries, 0.0)
    edge.send(put("report"), 0.0)
    exchange(edge, cloud, 0.0)
    inventory, batch = drain(cloud)
    assert isinstance(inventory, InventoryReceived)
    assert inventory.entries == entries
    assert isinstance(batch, Received)


def test_a_lost_part_of_an_inventory_is_sent_again() -> None:
    cloud, edge = link_pair()
    entries = [entry(f"p{index}") for index in range(2500)]
    edge.send_inventory(entries, 0.0)
    first, _lost, third = output(edge, 0.0)
    cloud.receive(first, 0.0)
    cloud.receive(third, 0.0)
    assert drain(cloud) == []
    exchange(cloud, edge, 0.0)
    assert only(cloud, InventoryReceived).entries == entries


def test_an_inventory_is_bounded() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(max_inventory=10))
    edge.send_inventory([entry(f"p{index}") for index in range(11)], 0.0)
    transfer(edge, cloud, 0.0)
    assert ended(cloud).code == CloseCode.FRAME_TOO_LARGE


def test_an_inventory_is_bounded_in_bytes_too() -> None:
    cloud, edge = link_pair(cloud=LinkSettings(max_inventory_bytes=2000))
    edge.send_inventory([entry("n" * 250 + str(index)) for index in range(10)], 0.0)
    transfer(edge, cloud, 0.0)
    assert ended(cloud).code == CloseCode.FRAME_TOO_LARGE


def test_a_second_inventory_ends_the_session() -> None:
    cloud, edge = link_pair()
    for _ in range(2):
        edge.send_inventory([entry("p")], 0.0)
        exchange(edge, cloud, 0.0)
    assert [type(event) for event in drain(cloud)] == [InventoryReceived, Closed]
    assert cloud.closed is not None
    assert cloud.closed.code == CloseCode.UNEXPECTED_FRAME


# Volatile frames, keepalive, draining.


def test_of_many_pings_that_could_not_be_answered_the_newest_is() -> None:
    cloud, _edge = link_pair()
    for ping in (1, 2, 3):
        cloud.receive(frame(FrameType.PING, encode_number(ping)), 0.0)
    assert not cloud.quiet
    assert [decode_frame(data) for data in output(cloud, 0.0)] == [
        decode_frame(frame(FrameType.PONG, encode_number(3)))
    ]


@pytest.mark.parametrize("kind", [FrameType.PING, FrameType.PONG, FrameType.NACK, FrameType.GOAWAY])
@pytest.mark.parametrize("number", [float("inf"), float("nan"), -1])
def test_a_number_that_is_none_ends_the_session(kind: FrameType, number: float) -> None:
    cloud, _edge = link_pair()
    cloud.receive(frame(kind, encode_number(number)), 0.0)
    assert ended(cloud).code == CloseCode.MALFORMED_FRAME


def test_a_heartbeat_arrives_unacknowledged_and_measures_the_round_trip() -> None:
    cloud, edge = link_pair()
    edge.send_volatile(b"load", 10.0)
    transfer(edge, cloud, 10.1)
    assert only(cloud, VolatileReceived).body == b"load"
    frames = output(cloud, 10.1)
    assert kinds(frames) == [FrameType.PONG]
    for data in frames:
        edge.receive(data, 10.2)
    assert edge.rtt_s == pytest.approx(0.2)
    assert cloud.rtt_s is None


def test_a_heartbeat_before_the_session_is_dropped() -> None:
    link = new_link(Side.EDGE)
    link.send_volatile(b"load", 0.0)
    assert output(link, 0.0) == []


def test_silence_is_pinged_and_a_dead_peer_noticed_within_15_s() -> None:
    cloud, edge = link_pair()
    assert cloud.next_timer() == 12.0
    cloud.handle_timer(11.0)
    assert output(cloud, 11.0) == []
    cloud.handle_timer(12.0)
    assert kinds(output(cloud, 12.0)) == [FrameType.PING]
    assert cloud.next_timer() == 15.0
    cloud.handle_timer(15.0)
    assert ended(cloud).code == CloseCode.DEAD_PEER
    assert edge.state is State.OPEN


def test_heartbeats_leave_nothing_for_either_side_to_ping() -> None:
    cloud, edge = link_pair()
    for now in (10.0, 20.0, 30.0):
        for link in (cloud, edge):
            link.handle_timer(now)
            assert output(link, now) == []
        edge.send_volatile(b"load", now)
        exchange(cloud, edge, now)


def test_a_pong_keeps_the_link_alive() -> None:
    cloud, edge = link_pair()
    now = 0.0
    for _ in range(20):
        now = cloud.next_timer() or 0.0
        cloud.handle_timer(now)
        exchange(cloud, edge, now)
    assert now == 240.0
    assert cloud.state is edge.state is State.OPEN
    assert cloud.rtt_s == 0.0


def test_draining_sends_no_more_but_settles_what_is_in_flight() -> None:
    cloud, edge = link_pair()
    cloud.send(put("a"), 0.0)
    transfer(cloud, edge, 0.0)
    cloud.go_away(3.0, 0.0)
    cloud.send(put("b"), 0.0)
    transfer(cloud, edge, 1.0)
    received, going = drain(edge)
    assert isinstance(received, Received)
    assert going == GoingAway(3.0)
    edge.settle(received.batch, None, 1.0)
    transfer(edge, cloud, 1.0)
    assert list(only(cloud, Settled).items) == [put("a")]
    assert list(cloud.outbox.items()) == [put("b")]


def test_closing_tells_the_peer_once() -> None:
    cloud, edge = link_pair()
    cloud.close(CloseCode.NORMAL, "bye", 0.0)
    cloud.close(CloseCode.NORMAL, "again", 0.0)
    cloud.go_away(1.0, 0.0)
    assert transfer(cloud, edge, 0.0) == 1
    assert ended(cloud) == Closed(CloseCode.NORMAL, "bye")
    assert ended(edge) == Closed(CloseCode.NORMAL, "bye", remote=True)


# Peers that break the protocol.


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", CloseCode.MALFORMED_FRAME),
        (b"\x08\x00\x00", CloseCode.MALFORMED_FRAME),
        (b"\x3f\x00\x00\x00\x07\x90", CloseCode.UNKNOWN_FRAME_TYPE),
        (b"\xc8\x00\x00\x00\x07\x90", CloseCode.DECOMPRESSION_FAILED),
        (frame(FrameType.BATCH, b"\x90"), CloseCode.MALFORMED_FRAME),
        (frame(FrameType.HELLO, b"\x90"), CloseCode.UNEXPECTED_FRAME),
        (frame(FrameType.ACK, encode_ack(Ack(1, 1))), CloseCode.BAD_ACK),
        (frame(FrameType.PING, encode_number(1), epoch=6), CloseCode.STALE_EPOCH),
    ],
)
def test_a_violation_ends_the_session_with_its_code_and_tells_the_peer(data: bytes, code: CloseCode) -> None:
    for link in link_pair():
        link.receive(data, 0.0)
        (answer,) = output(link, 0.0)
        assert decode_frame(answer).type is FrameType.ERROR
        assert ended(link).code == code


def test_an_edge_takes_no_inventory() -> None:
    cloud, edge = link_pair()
    edge.send_inventory([], 0.0)
    for data in output(edge, 0.0):
        edge.receive(data, 0.0)
    assert ended(edge).code == CloseCode.UNEXPECTED_FRAME
    assert cloud.state is State.OPEN


@pytest.mark.parametrize(
    "exceptions", [((1, 5, LATER),), ((1, 1, Verdict.rejected("a", "b")),)], ids=["later", "rejected"]
)
def test_a_verdict_on_an_item_that_was_not_sent_is_a_violation(
    exceptions: tuple[tuple[int, int, Verdict], ...],
) -> None:
    cloud, _ = link_pair()
    cloud.send(put("a"), 0.0)
    output(cloud, 0.0)
    cloud.receive(frame(FrameType.ACK, encode_ack(Ack(1, 1, exceptions))), 0.0)
    assert ended(cloud).code == CloseCode.BAD_ACK
    cloud.outbox.attach()
    assert list(cloud.outbox.items()) == [put("a")]


def test_an_old_ack_changes_nothing() -> None:
    cloud, edge = link_pair()
    cloud.send(put("a"), 0.0)
    transfer(cloud, edge, 0.0)
    settle_all(edge, 0.0)
    (ack,) = output(edge, 0.0)
    cloud.receive(ack, 0.0)
    assert len(drain(cloud)) == 1
    cloud.receive(ack, 0.0)
    assert drain(cloud) == []


def test_no_single_byte_flip_raises_or_confuses_a_link() -> None:
    rng = Random(4)
    cloud, edge = link_pair(cloud=LinkSettings(codec=Codec.NONE))
    cloud.send(put("a", body=b"body"), 0.0)
    (data,) = output(cloud, 0.0)
    for index in range(len(data)):
        changed = bytearray(data)
        changed[index] ^= rng.randrange(1, 256)
        _, victim = link_pair()
        victim.receive(bytes(changed), 0.0)
        events: list[Event] = drain(victim)
        assert len(events) <= 1
        victim.check_invariants()
    for cut in range(len(data)):
        _, victim = link_pair()
        victim.receive(data[:cut], 0.0)
        assert ended(victim).code == CloseCode.MALFORMED_FRAME
    edge.receive(data, 0.0)
    assert isinstance(drain(edge)[0], Received)


def test_welcome_event_carries_the_welcome() -> None:
    cloud, edge = new_link(Side.CLOUD), new_link(Side.EDGE)
    edge.start(HELLO, 0.0)
    assert edge.epoch == 0
    transfer(edge, cloud, 0.0)
    cloud.welcome(WELCOME, 0.0)
    transfer(cloud, edge, 0.0)
    assert only(edge, WelcomeReceived).welcome == WELCOME
    assert edge.epoch == WELCOME.epoch


IDLE = {
    "pings": frame(FrameType.PING, encode_number(1)),
    "pongs": frame(FrameType.PONG, encode_number(1)),
    "heartbeats": frame(FrameType.VOLATILE, encode_volatile(0, b"\x80")),
    "nacks": frame(FrameType.NACK, encode_number(0)),
    "farewells": frame(FrameType.GOAWAY, encode_number(1)),
    "acks of nothing": frame(FrameType.ACK, encode_ack(Ack(0, 0))),
    "repeats": frame(FrameType.BATCH, encode_batch(9, 0, [put("a")])),
    "empty parts of an inventory": b"",
}


@pytest.mark.parametrize("what", IDLE)
def test_a_flood_of_frames_that_move_nothing_is_cut_off(what: str) -> None:
    cloud, _ = link_pair()
    for number in range(1, int(BURST) + 2):
        assert cloud.closed is None
        cloud.receive(IDLE[what] or frame(FrameType.INVENTORY, encode_inventory(number, 0, [], last=False)), 0.0)
        output(cloud, 0.0)
        while cloud.next_event() is not None:
            pass
    assert cloud.closed is not None
    assert cloud.closed.code == CloseCode.FLOOD


def test_heartbeats_at_the_pace_that_was_asked_for_are_no_flood() -> None:
    cloud, _ = link_pair()
    for number in range(2 * int(BURST)):
        cloud.receive(IDLE["heartbeats"], number * 0.01)
    assert cloud.closed is None


def test_frames_that_move_something_are_no_flood() -> None:
    cloud, edge = link_pair()
    for number in range(2 * int(BURST)):
        cloud.send(put("a", number), 0.0)
        exchange(cloud, edge, 0.0)
        settle_all(edge, 0.0)
        exchange(cloud, edge, 0.0)
        drain(cloud)
    assert (cloud.closed, edge.closed) == (None, None)


def test_a_peer_that_takes_nothing_holds_a_bounded_number_of_bytes() -> None:
    cloud, edge = link_pair()
    shared = [put(f"p{number}", body=Random(number).randbytes(1000)) for number in range(10_000)]
    for item in shared:
        cloud.send(item, 0.0)
    taken = sum(map(len, output(cloud, 0.0)))
    window = LinkSettings().window.weight
    assert taken < window + 2000  # overdrawn by one item at most
    for beat in range(10_000):
        cloud.send_volatile(b"beat", 10.0 * beat)
        cloud.receive(encode_frame(FrameType.PING, edge.epoch, encode_number(7)), 10.0 * beat)
    assert cloud.closed is None
    assert sum(map(len, cloud.data_to_send(0.0))) < 2000
    assert len(cloud.outbox) == 10_000
