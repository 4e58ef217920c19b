from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from protocol.link import Link, Side
from protocol.measures import Histogram, LinkMeasures, Times
from protocol.messages import APPLIED, LATER, Item, Lane, Outcome, Verdict
from protocol.settings import LinkSettings
from tests.support.links import exchange, link_pair, put, settle_all, transfer


@dataclass
class Notes:
    """A probe that writes down what it is told."""

    name: str = "web"
    sent_at: list[tuple[float, bool]] = field(default_factory=list)
    answers: list[tuple[list[Verdict], float, float, Times | None]] = field(default_factory=list)

    def wants(self, items: Sequence[Item]) -> bool:
        return any(item.key.name == self.name for item in items)

    def sent(self, items: Sequence[Item], now: float, *, again: bool) -> None:
        self.sent_at.append((now, again))

    def settled(
        self, items: Sequence[Item], verdicts: Sequence[Verdict], sent_at: float, now: float, times: Times | None
    ) -> None:
        self.answers.append((list(verdicts), sent_at, now, times))


def test_a_value_on_a_bound_belongs_to_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.5):
        histogram.observe(value)
    assert histogram.counts == [2, 1, 1]
    assert (histogram.count, histogram.total) == (4, 5.5)


def test_the_receiver_tells_when_a_probed_batch_arrived_and_was_settled() -> None:
    cloud, edge = link_pair()
    cloud.probe = notes = Notes()
    cloud.send(put("web"), 1.0)
    transfer(cloud, edge, 1.0)
    settle_all(edge, 1.25)
    transfer(edge, cloud, 1.5)
    (verdicts, sent_at, now, times) = notes.answers[0]
    assert notes.sent_at == [(1.0, False)]
    assert (verdicts, sent_at, now) == ([APPLIED], 1.0, 1.5)
    assert times == Times(0.5, 0.25)


def test_what_no_probe_wants_is_not_timed() -> None:
    cloud, edge = link_pair()
    cloud.probe = notes = Notes("another")
    cloud.send(put("web"), 1.0)
    transfer(cloud, edge, 1.0)
    settle_all(edge, 1.25)
    assert [len(frame) for frame in edge.data_to_send(1.5)] == [5 + 2]  # header, and the shortest ack there is
    assert not notes.sent_at


def test_a_probed_batch_that_is_answered_later_is_followed_again() -> None:
    cloud, edge = link_pair()
    cloud.probe = notes = Notes()
    cloud.send(put("web"), 0.0)
    transfer(cloud, edge, 0.0)
    edge.next_event()
    edge.settle(1, [LATER], 0.0)
    exchange(edge, cloud, 0.0)
    assert [verdict.outcome for verdict in notes.answers[0][0]] == [Outcome.LATER]
    due = cloud.next_timer()
    assert due is not None
    cloud.handle_timer(due)
    transfer(cloud, edge, due)
    settle_all(edge, due)
    exchange(edge, cloud, due)
    assert [verdict for answer in notes.answers for verdict in answer[0]] == [LATER, APPLIED]
    assert cloud.measures.put_off[Lane.SPEC] == 1


def test_a_lost_frame_is_counted_and_told_once_more() -> None:
    cloud, edge = link_pair()
    cloud.probe = notes = Notes()
    cloud.send(put("web"), 0.0)
    cloud.data_to_send(0.0)  # lost
    due = cloud.next_timer()
    assert due is not None
    cloud.handle_timer(due)
    transfer(cloud, edge, due)
    settle_all(edge, due)
    exchange(edge, cloud, due)
    assert notes.sent_at == [(0.0, False), (due, True)]
    assert cloud.measures.resent[Lane.SPEC] == 1
    assert cloud.measures.acks[Lane.SPEC].count == 1
    assert cloud.measures.acks[Lane.SPEC].total == due


def test_links_that_share_measures_add_up() -> None:
    shared = LinkMeasures()
    links = [Link(Side.CLOUD, LinkSettings(), Random(1), measures=shared) for _ in range(2)]
    assert all(link.measures is shared for link in links)


def test_round_trips_are_measured_by_pings() -> None:
    cloud, edge = link_pair()
    edge.send_volatile(b"", 1.0)
    transfer(edge, cloud, 1.1)
    transfer(cloud, edge, 1.5)
    assert edge.measures.round_trips.count == 1
    assert edge.measures.round_trips.total == 0.5
