"""What KubeEdge's messages are answered, without a broker: results, codes and limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.bus.desk import Clock, Desk, Message
from edgecore.bus.flood import DeviceFlood
from edgecore.bus.topics import Asks, parse, subscriptions
from edgecore.twin.book import Book, Changed, Device, DeviceName, Draft
from edgecore.twin.model import State, shaped
from edgecore.twin.shape import shape_of
from tests.support.edgedevices import MODEL, device

HALL = DeviceName("default", "hall")
AT = Clock(10.0, 10_000)
PREFIX = "$hw/events/device/default/hall"


def known(*, desired: dict[str, str] | None = None) -> Device:
    shape = shape_of(device(desired=desired), MODEL)
    return Device(shape, shaped(None, shape, 1))


def book(*, desired: dict[str, str] | None = None) -> Book:
    made = Book()
    draft = Draft(made)
    draft.put(HALL, known(desired=desired))
    made.take(draft)
    return made


class Served:
    """One message to a desk that knows one device."""

    def __init__(self, topic: str, payload: object, *, desired: dict[str, str] | None = None) -> None:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.draft = Draft(book(desired=desired))
        self.said = Desk("edge-1").serve([Message(topic, raw)], self.draft, AT)

    def on(self, topic: str) -> Any:
        """Return what was said on ``topic``."""
        (payload,) = [each.payload for each in self.said if each.topic == topic]
        return json.loads(payload)


def twin_update(**twin: Any) -> Served:
    return Served(f"{PREFIX}/twin/update", {"event_id": "e1", "timestamp": 1, "twin": twin})


def test_an_update_is_answered_with_what_it_wrote() -> None:
    served = twin_update(target={"actual": {"value": "20"}, "metadata": {"type": "int"}})
    assert served.on(f"{PREFIX}/twin/update/result") == {
        "event_id": "e1",
        "timestamp": 10_000,
        "twin": {
            "target": {
                "actual": {"value": "20", "metadata": {"timestamp": 10_000}},
                "optional": True,
                "metadata": {"type": "int"},
            }
        },
    }
    document = served.on(f"{PREFIX}/twin/update/document")
    assert document["event_id"] == "e1"
    assert document["twin"]["target"]["last"] is None
    assert document["twin"]["target"]["current"]["actual"]["value"] == "20"
    assert [each.text for each in served.draft.reports] == ["20"]


def test_a_desired_value_of_the_edge_is_a_delta() -> None:
    served = twin_update(target={"expected": {"value": "25"}})
    delta = served.on(f"{PREFIX}/twin/update/delta")
    assert delta["delta"] == {"target": "25"}
    assert delta["twin"]["target"]["expected"]["value"] == "25"
    assert "expected_version" not in delta["twin"]["target"]


def test_null_deletes_a_property() -> None:
    served = Served(f"{PREFIX}/twin/update", {"event_id": "e", "twin": {"target": None}}, desired={"target": "21"})
    assert served.on(f"{PREFIX}/twin/update/result")["twin"] == {"target": None}
    assert served.on(f"{PREFIX}/twin/update/document")["twin"]["target"]["current"] is None


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b"\xff", 400),
        (b"[]", 400),
        (b'{"event_id": 5, "twin": {}}', 400),
        ({"event_id": "e"}, 400),
        ({"event_id": "e", "twin": []}, 400),
        ({"event_id": "e", "twin": {"a b": {"actual": {"value": "1"}}}}, 400),
        ({"event_id": "e", "twin": {"k" * 129: {"actual": {"value": "1"}}}}, 400),
        ({"event_id": "e", "twin": {"label": {"actual": {"value": "v" * 513}}}}, 400),
        ({"event_id": "e", "twin": {"label": {"actual": {"value": "no spaces"}}}}, 400),
        ({"event_id": "e", "twin": {"target": {"actual": {"value": 20}}}}, 400),
        ({"event_id": "e", "twin": {"target": {"actual": "20"}}}, 400),
        ({"event_id": "e", "twin": {"target": {"actual": {"value": "warm"}}}}, 400),
        ({"event_id": "e", "twin": {"target": {"actual": {"value": "99"}}}}, 400),
        ({"event_id": "e", "twin": {"temperature": {"expected": {"value": "20"}}}}, 400),
        ({"event_id": "e", "twin": {"pressure": {"actual": {"value": "1"}}}}, 400),
        (
            {
                "event_id": "e",
                "twin": {"target": {"expected": {"value": "20"}, "expected_version": {"cloud": 7, "edge": 7}}},
            },
            409,
        ),
    ],
)
def test_what_is_not_acceptable_has_a_code_and_changes_nothing(payload: object, code: int) -> None:
    served = Served(f"{PREFIX}/twin/update", payload)
    result = served.on(f"{PREFIX}/twin/update/result")
    assert result["code"] == code
    assert result["reason"]
    assert served.draft.empty


def test_a_device_that_is_not_here_is_404() -> None:
    for suffix in ("twin/update", "twin/get", "state/update"):
        topic = f"$hw/events/device/default/cellar/{suffix}"
        served = Served(topic, {"event_id": "e", "twin": {}, "state": "online"})
        result = served.on(f"{topic}/result")
        assert (result["event_id"], result["code"]) == ("e", 404)


def test_a_twin_is_told_without_versions() -> None:
    served = Served(f"{PREFIX}/twin/get", {"event_id": "g"}, desired={"target": "21"})
    twin = served.on(f"{PREFIX}/twin/get/result")["twin"]
    assert twin["target"] == {
        "expected": {"value": "21", "metadata": {"timestamp": 1}},
        "optional": True,
        "metadata": {"type": "int"},
    }
    assert twin["temperature"] == {"optional": True, "metadata": {"type": "float"}}


def test_membership_and_detail_name_the_devices() -> None:
    topic = "$hw/events/node/edge-1/membership"
    assert Served(f"{topic}/get", {"event_id": "m"}).on(f"{topic}/get/result")["devices"] == [
        {"id": "default/hall", "name": "hall", "state": "unknown"}
    ]
    assert "twin" in Served(f"{topic}/detail", {"event_id": "m"}).on(f"{topic}/detail/result")["devices"][0]


@pytest.mark.parametrize(
    ("topic", "payload", "state"),
    [
        (f"{PREFIX}/state/update", {"state": "online"}, State.ONLINE),
        (f"{PREFIX}/state/update", {"state": "offline"}, State.OFFLINE),
        ("$hw/events/connected/default/hall", {}, State.ONLINE),
        ("$hw/events/disconnected/hall", {}, State.OFFLINE),
    ],
)
def test_states_are_taken(topic: str, payload: object, state: State) -> None:
    served = Served(topic, payload)
    after = served.draft.get(HALL)
    assert after is not None
    assert after.twin.state is state


def test_an_unknown_state_is_400() -> None:
    assert Served(f"{PREFIX}/state/update", {"state": "asleep"}).on(f"{PREFIX}/state/update/result")["code"] == 400


def test_a_mappers_data_goes_into_the_log_alone() -> None:
    served = Served("$ke/events/device/default/hall/data/update", {"data": {"target": {"value": "20"}, "x": None}})
    assert [(each.property, each.text) for each in served.draft.reports] == [("target", "20")]
    assert served.draft.overlay == {}
    assert served.said == []


def test_a_disk_that_takes_nothing_is_500() -> None:
    update = Message(f"{PREFIX}/twin/update", b'{"event_id": "e", "twin": {}}')
    (answer,) = Desk("edge-1").unavailable([update, Message(f"{PREFIX}/twin/get", b"{}")], 5)
    assert answer.topic == f"{PREFIX}/twin/update/result"
    assert json.loads(answer.payload)["code"] == 500


def test_a_device_that_floods_is_capped_and_others_are_not() -> None:
    desk = Desk("edge-1", DeviceFlood(per_s=1, burst=3))
    ask = Message(f"{PREFIX}/twin/get", b"{}")
    other = Message("$hw/events/device/default/other/twin/get", b"{}")
    said = desk.serve([*[ask] * 10, other], Draft(book()), AT)
    answered = [each for each in said if each.topic == f"{PREFIX}/twin/get/result"]
    capped = [json.loads(each.payload) for each in said if each.topic == f"{PREFIX}/twin/update/result"]
    assert len(answered) == 3
    assert [each["code"] for each in capped] == [429]
    assert said[-1].topic.startswith("$hw/events/device/default/other")
    assert desk.flood.dropped == 7
    later = desk.serve([ask], Draft(book()), Clock(11.0, 11_000))
    assert [each.topic for each in later] == [f"{PREFIX}/twin/get/result"]


def test_the_clouds_changes_are_announced() -> None:
    desk = Desk("edge-1")
    said = desk.announce([Changed(HALL, None, known(desired={"target": "21"}))], 5)
    by_topic = {each.topic: json.loads(each.payload) for each in said}
    assert by_topic["$hw/events/node/edge-1/membership/updated"]["added_devices"][0]["id"] == "default/hall"
    assert by_topic[f"{PREFIX}/twin/update/delta"]["delta"] == {"target": "21"}
    (gone,) = desk.announce([Changed(HALL, known(), None)], 6)
    assert json.loads(gone.payload)["removed_devices"][0]["name"] == "hall"


@pytest.mark.parametrize(
    "topic",
    [
        "$hw/events/device/default/../twin/get",
        "$hw/events/device/default/a+b/twin/get",
        "$hw/events/device/#/hall/twin/get",
        "$hw/events/device/default/HALL/twin/get",
        "$hw/events/device/default/hall/more/twin/get",
        "$hw/events/device//twin/get",
        "$hw/events/device/default/hall/twin/cloud_updated",
        "$hw/events/node/edge-2/membership/get",
        "$hw/events/connected/",
        "",
    ],
)
def test_topics_that_name_no_device_are_passed_over(topic: str) -> None:
    assert parse(topic, "edge-1") is None


@given(st.text(max_size=80))
def test_any_topic_is_parsed_or_passed_over(topic: str) -> None:
    for prefix in ("", "$hw/events/device/", "$hw/events/connected/"):
        address = parse(prefix + topic, "edge-1")
        assert address is None or address.asks in Asks


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_any_payload_is_answered_or_has_a_code(payload: bytes) -> None:
    for suffix in ("twin/update", "state/update", "twin/get"):
        served = Served(f"{PREFIX}/{suffix}", payload)
        assert served.on(f"{PREFIX}/{suffix}/result")


def test_each_topic_asked_for_is_subscribed_once() -> None:
    filters = subscriptions("edge-1")
    assert len(filters) == len(set(filters))
    assert "$hw/events/device/+/+/twin/update" in filters
