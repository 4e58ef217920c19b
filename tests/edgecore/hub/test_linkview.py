from __future__ import annotations

from edgecore.hub.linkview import measures_view, outbox_view
from edgecore.meta.engine import EventRow, ReportRow
from edgecore.meta.upstream import Owed
from protocol.measures import LinkMeasures
from protocol.messages import Lane
from protocol.objects.keys import ObjectKey, Uid
from protocol.traffic import Direction, TrafficMeter
from tests.support.links import link_pair, put, transfer

OWED: list[Owed] = [
    ReportRow(ObjectKey("nodes/status", "", "edge-1"), Uid(""), 1, b"", owed=True),
    ReportRow(ObjectKey("pods/status", "default", "web"), Uid("u"), 2, b"", owed=True),
    EventRow(ObjectKey("events", "default", "e"), 3, b""),
]


def test_without_a_session_what_is_owed_is_counted_by_the_lane_it_will_take() -> None:
    view = outbox_view(None, OWED, 5.0)
    assert (view["pending"], view["oldestSeconds"]) == (3, None)
    assert [(lane["lane"], lane["queued"]) for lane in view["lanes"]] == [("lease", 1), ("spec", 1), ("bulk", 1)]


def test_with_a_session_ages_are_known() -> None:
    cloud, edge = link_pair()
    edge.send(put("web"), 1.0)
    transfer(edge, cloud, 2.0)
    view = outbox_view(edge, [], 5.0)
    assert (view["pending"], view["oldestSeconds"]) == (1, 4.0)
    assert view["lanes"] == [{"lane": "spec", "queued": 0, "inFlight": 1, "oldestSeconds": 4.0}]


def test_what_was_counted_is_shown_by_name() -> None:
    measures, meter = LinkMeasures(), TrafficMeter()
    measures.round_trips.observe(0.010)
    measures.acks[Lane.SPEC].observe(0.5)
    measures.resent[Lane.BULK] = 2
    meter.note(Direction.SENT, "spec", "pods/status", 120, 0.0)
    view = measures_view(measures, meter)
    assert view["roundTrips"] == {"count": 1, "meanMs": 10.0}
    assert view["acks"] == {"spec": {"frames": 1, "meanMs": 500.0}}
    assert (view["resentFrames"], view["putOffItems"]) == ({"bulk": 2}, {})
    assert view["bytesToday"] == [{"direction": "sent", "lane": "spec", "kind": "pods/status", "bytes": 120}]
