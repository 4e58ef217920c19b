from __future__ import annotations

from protocol.events import Received, Settled
from protocol.messages import APPLIED
from tests.support.links import link_pair, only, output, put, transfer


def test_an_item_is_received_settled_and_acknowledged() -> None:
    cloud, edge = link_pair()
    cloud.send(put("a"), now=1.0)
    transfer(cloud, edge, now=1.0)
    received = only(edge, Received)
    assert received.items == [put("a")]
    assert output(edge, now=1.0) == []
    edge.settle(received.batch, None, now=1.0)
    transfer(edge, cloud, now=1.0)
    settled = only(cloud, Settled)
    assert list(settled.items) == [put("a")]
    assert list(settled.verdicts) == [APPLIED]
    assert len(cloud.outbox) == 0
