from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgecore.meta.engine import ObjectRow
from edgecore.meta.sync import LEAVE, Decision, Drop, Hold, Reject, on_delete, on_put
from protocol.objects.keys import ObjectKey, Revision, Uid
from tests.support.slices import body_of

KEY = ObjectKey("pods", "default", "web")


def row(version: int, uid: str = "u", line: int = 1, body: bytes | None = None) -> ObjectRow:
    return ObjectRow(KEY, Uid(uid), Revision(version), body_of(KEY, uid) if body is None else body, line)


@pytest.mark.parametrize(
    ("held", "new", "expected"),
    [
        (None, row(5), Hold(row(5))),
        (row(5), row(6), Hold(row(6))),
        (row(5), row(5), LEAVE),
        (row(5), row(4), LEAVE),
        (row(5, "old"), row(6, "new"), Hold(row(6, "new"))),
        (row(6, "new"), row(5, "old"), LEAVE),
        (row(50, line=1), row(3, line=2), Hold(row(3, line=2))),
        (row(5, line=1), row(5, line=2), Hold(row(5, line=2))),
    ],
)
def test_puts(held: ObjectRow | None, new: ObjectRow, expected: Decision) -> None:
    assert on_put(held, new) == expected


@pytest.mark.parametrize(
    ("held", "uid", "expected"), [(None, "u", LEAVE), (row(5), "u", Drop()), (row(5, "new"), "old", LEAVE)]
)
def test_deletes(held: ObjectRow | None, uid: str, expected: Decision) -> None:
    assert on_delete(held, Uid(uid)) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\x81\xa8metadata\xc0",
        body_of(KEY._replace(name="other"), "u"),
        body_of(KEY._replace(namespace="other"), "u"),
        body_of(KEY, "other"),
        body_of(KEY, "u") + b"\x00",
        b"\x91" * 2000,
    ],
)
def test_a_body_that_is_not_the_object_named_is_rejected(body: bytes) -> None:
    decision = on_put(None, row(5, body=body))
    assert isinstance(decision, Reject)
    assert decision.code == "Undecodable"


@given(st.binary(max_size=200))
@example(b"\x81\x80\x01")  # a map whose key is a map
def test_no_body_raises(body: bytes) -> None:
    assert isinstance(on_put(None, row(5, body=body)), Reject | Hold)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(1, 9)), max_size=12), st.data())
def test_redelivery_of_earlier_puts_never_brings_an_overtaken_version_back(
    steps: list[tuple[bool, str, int]], data: st.DataObject
) -> None:
    """Whatever is held has the highest version of all puts since the last effective delete."""
    held: ObjectRow | None = None
    highest = 0
    for is_put, uid, version in steps:
        if is_put:
            decision = on_put(held, row(version, uid))
            highest = max(highest, version)
            held = decision.row if isinstance(decision, Hold) else held
        elif isinstance(on_delete(held, Uid(uid)), Drop):
            held, highest = None, 0
        if held is not None:
            assert held.version == highest
            again = data.draw(st.integers(1, highest))
            assert on_put(held, row(again, "abc"[again % 3])) == LEAVE
