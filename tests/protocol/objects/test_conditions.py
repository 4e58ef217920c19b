from __future__ import annotations

from protocol.objects.conditions import find_condition, is_true, set_condition

READY = {"type": "Ready", "status": "True", "reason": "Up", "lastTransitionTime": "t0"}


def test_a_new_type_is_appended() -> None:
    assert set_condition(None, {"type": "Ready", "status": "True"}, at="t1") == [
        {"type": "Ready", "status": "True", "lastTransitionTime": "t1"}
    ]


def test_the_transition_time_moves_only_when_the_status_does() -> None:
    same = set_condition([READY], {"type": "Ready", "status": "True", "reason": "StillUp"}, at="t1")
    assert same == [{"type": "Ready", "status": "True", "reason": "StillUp", "lastTransitionTime": "t0"}]
    other = set_condition([READY], {"type": "Ready", "status": "False"}, at="t1")
    assert other[0]["lastTransitionTime"] == "t1"


def test_other_conditions_and_their_order_stay() -> None:
    before = [{"type": "A", "status": "True"}, READY, {"type": "B", "status": "False"}]
    after = set_condition(before, {"type": "Ready", "status": "False"}, at="t1")
    assert [condition["type"] for condition in after] == ["A", "Ready", "B"]
    assert before[1] is READY


def test_reading() -> None:
    assert find_condition([READY], "Ready") is READY
    assert find_condition(None, "Ready") is None
    assert is_true([READY], "Ready")
    assert not is_true([{"type": "Ready", "status": "Unknown"}], "Ready")
