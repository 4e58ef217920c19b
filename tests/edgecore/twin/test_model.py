"""The twin and its rule for conflicts."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edgecore.twin.model import State, Twin, Version, Write, WriteRefused, acknowledged, shaped, stated, written
from edgecore.twin.shape import DeviceShape, shape_of
from edgecore.twin.status import edge_versions, status_of
from edgecore.twin.store import decode_twin, encode_twin
from protocol.objects.keys import Body
from tests.support.edgedevices import MODEL, device


def shape(generation: int = 1, **desired: str) -> DeviceShape:
    return shape_of(device(generation=generation, desired=desired), MODEL)


def test_a_new_device_has_what_is_desired_and_a_delta() -> None:
    twin = shaped(None, shape(target="21"), 1000)
    each = twin.properties["target"]
    assert (each.expected.text if each.expected else None) == "21"
    assert each.expected_version == Version(cloud=1)
    assert twin.deltas == {"target": "21"}


def test_a_report_ends_the_delta() -> None:
    of = shape(target="21")
    twin = written(shaped(None, of, 1000), of, {"target": Write(actual="21")}, 2000)
    assert twin.deltas == {}
    assert twin.last_online_ms == 2000
    assert twin.properties["target"].actual_version == Version(edge=1)


@pytest.mark.parametrize(
    ("name", "write", "word"),
    [
        ("target", Write(expected="36"), "maximum"),
        ("target", Write(actual="4"), "minimum"),
        ("target", Write(expected="warm"), "int"),
        ("temperature", Write(expected="20"), "read-only"),
        ("temperature", Write(actual="nan"), "float"),
        ("on", Write(expected="yes"), "true or false"),
        ("pressure", Write(actual="1"), "no property"),
    ],
)
def test_what_the_model_does_not_allow_is_refused(name: str, write: Write, word: str) -> None:
    of = shape()
    twin = shaped(None, of, 0)
    with pytest.raises(WriteRefused, match=word) as refused:
        written(twin, of, {"label": Write(actual="kept-out"), name: write}, 1)
    assert not refused.value.conflict


def test_a_write_based_on_an_old_version_is_a_conflict() -> None:
    of = shape(target="21")
    twin = written(shaped(None, of, 0), of, {"target": Write(expected="22", based_on=Version(1, 0))}, 1)
    with pytest.raises(WriteRefused) as refused:
        written(twin, of, {"target": Write(expected="23", based_on=Version(1, 0))}, 2)
    assert refused.value.conflict


def test_a_desired_value_that_is_not_acceptable_is_a_problem_until_the_model_allows_it() -> None:
    body = device(generation=2, desired={"target": "99"})
    twin = shaped(None, shape_of(body, MODEL), 0)
    assert twin.properties["target"].expected is None
    assert "maximum" in status_of(twin, shape_of(body, MODEL))["extensions"]["problems"]["target"]
    wider: Body = {"metadata": {}, "spec": {"properties": [{"name": "target", "type": "INT", "maximum": "100"}]}}
    twin = shaped(twin, shape_of(body, wider), 1)
    assert twin.deltas == {"target": "99"}
    assert "extensions" not in status_of(twin, shape_of(body, wider))


def test_the_clouds_newer_write_wins_and_the_lost_one_is_kept() -> None:
    of = shape(target="20")
    twin = written(shaped(None, of, 0), of, {"target": Write(expected="25")}, 1)
    after = shaped(twin, shape(2, target="18"), 2)
    assert after.deltas == {"target": "18"}
    (conflict,) = after.conflicts
    assert (conflict.property, conflict.lost, conflict.won, conflict.cloud) == ("target", "25", "18", 2)
    assert status_of(after, of)["extensions"]["conflicts"][0]["lost"] == "25"


def test_another_propertys_change_and_a_repeat_write_nothing() -> None:
    of = shape(target="20")
    twin = written(shaped(None, of, 0), of, {"target": Write(expected="25")}, 1)
    after = shaped(twin, shape(3, target="20", label="new"), 2)
    assert after.properties["target"] == twin.properties["target"]
    assert after.conflicts == ()
    assert shaped(after, shape(3, target="20", label="new"), 3) == after


def test_a_write_that_the_cloud_knew_is_no_conflict() -> None:
    of = shape(target="20")
    twin = written(shaped(None, of, 0), of, {"target": Write(expected="25")}, 1)
    twin = acknowledged(twin, edge_versions(status_of(twin, of)))
    assert shaped(twin, shape(2, target="18"), 2).conflicts == ()


def test_a_device_of_another_uid_starts_anew() -> None:
    of = shape(target="20")
    twin = written(shaped(None, of, 0), of, {"target": Write(actual="19")}, 1)
    other = shape_of(device(uid="device-2"), MODEL)
    assert shaped(twin, other, 2).properties["target"].actual is None


def test_conflicts_are_bounded_and_counted() -> None:
    twin = shaped(None, shape(target="5"), 0)
    for generation in range(2, 124):
        of = shape(generation, target=str(6 + generation % 2))
        twin = written(twin, of, {"target": Write(expected="30")}, generation)
        twin = shaped(twin, of, generation)
    assert len(twin.conflicts) == 100
    assert twin.conflicts_forgotten == 22


def test_states_tell_when_a_device_was_last_online() -> None:
    twin = shaped(None, shape(), 0)
    twin = stated(twin, State.ONLINE, 5)
    twin = stated(twin, State.OFFLINE, 9)
    assert (twin.state, twin.last_online_ms) == (State.OFFLINE, 5)


VALUES = st.sampled_from(["18", "19", "20", "21"])


class CloudAndEdge(RuleBasedStateMachine):
    """A cloud and an edge that write the same property, over a link that is cut, slow and repeats itself.

    The cloud is modelled by what it has written, with its generation, and by the newest status it has taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.generation = 1
        self.wanted = "20"
        self.of = shape(1, target="20")
        self.twin = shaped(None, self.of, 0)
        self.disk = encode_twin(self.twin)
        self.clock = 0
        self.connected = True
        self.seen: Body = {}
        self.down: list[DeviceShape] = []
        self.unacknowledged: list[str] = []
        self.lost: list[tuple[str, str]] = []
        self.effective = "20"
        self.reported = ""

    def _commit(self, twin: Twin) -> None:
        self.twin, self.disk = twin, encode_twin(twin)
        self.clock += 1

    @rule(value=VALUES)
    def cloud_writes(self, value: str) -> None:
        if value == self.wanted:
            return
        self.generation += 1
        self.wanted = value
        self.down.append(shape(self.generation, target=value))

    @rule(label=st.sampled_from(["a", "b"]))
    def cloud_writes_something_else(self, label: str) -> None:
        self.generation += 1
        self.down.append(shape(self.generation, target=self.wanted, label=label))

    @rule(value=VALUES)
    def edge_writes(self, value: str) -> None:
        self._commit(written(self.twin, self.of, {"target": Write(expected=value)}, self.clock))
        self.unacknowledged.append(value)
        self.effective = value

    @rule(value=VALUES)
    def device_reports(self, value: str) -> None:
        self._commit(written(self.twin, self.of, {"target": Write(actual=value)}, self.clock))
        self.reported = value

    @rule()
    def link_is_cut(self) -> None:
        self.connected = False

    @rule()
    def link_is_back(self) -> None:
        self.connected = True

    @precondition(lambda self: self.connected and self.down)
    @rule(repeated=st.booleans())
    def newest_desired_state_arrives(self, *, repeated: bool) -> None:
        """What waits coalesces: only the newest goes down; it may go down twice."""
        newest = self.down[-1]
        self.down.clear()
        before = self.of.desired["target"].text
        won = newest.desired["target"].text
        self.of = newest
        for _ in range(1 + repeated):
            self._commit(shaped(self.twin, newest, self.clock))
        if won != before:
            if self.unacknowledged and self.unacknowledged[-1] != won:
                self.lost.append((self.unacknowledged[-1], won))
            self.unacknowledged.clear()
            self.effective = won

    @precondition(lambda self: self.connected)
    @rule()
    def status_is_taken(self) -> None:
        self.seen = status_of(self.twin, self.of)
        self._commit(acknowledged(self.twin, edge_versions(self.seen)))
        self.unacknowledged.clear()

    @rule()
    def edge_restarts(self) -> None:
        self.twin = decode_twin(self.disk)

    @invariant()
    def the_edge_has_what_the_rule_says(self) -> None:
        each = self.twin.properties["target"]
        assert (each.expected.text if each.expected else "") == self.effective
        assert (each.actual.text if each.actual else "") == self.reported

    @invariant()
    def each_lost_write_is_kept_once(self) -> None:
        kept = [(each.lost, each.won) for each in self.twin.conflicts]
        assert kept == self.lost[-100:]

    def teardown(self) -> None:
        self.connected = True
        if self.down:
            self.newest_desired_state_arrives(repeated=True)
        self.edge_restarts()
        self.status_is_taken()
        (target,) = [each for each in self.seen["twins"] if each["propertyName"] == "target"]
        assert target["observedDesired"]["value"] == self.effective
        assert target.get("reported", {}).get("value", "") == self.reported
        assert self.twin == decode_twin(encode_twin(self.twin))


TestCloudAndEdge = CloudAndEdge.TestCase
TestCloudAndEdge.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
