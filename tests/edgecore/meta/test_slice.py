from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgecore.meta.engine import ObjectRow
from edgecore.meta.slice import Slice
from protocol.objects.keys import ObjectKey, Revision, Uid
from tests.support.slices import body_of


def row(name: str, version: int = 1, padding: int = 0) -> ObjectRow:
    key = ObjectKey("pods", "default", name)
    return ObjectRow(key, Uid("u"), Revision(version), body_of(key, "u", padding="x" * padding), 1)


def test_an_object_is_decoded_once_while_it_fits_the_budget() -> None:
    held = Slice([row("web")])
    key = ObjectKey("pods", "default", "web")
    assert held.get(key) is held.get(key)


def test_a_new_version_is_decoded_anew() -> None:
    held = Slice([row("web", 1)])
    key = ObjectKey("pods", "default", "web")
    before = held.get(key)
    held.put(row("web", 2))
    after = held.get(key)
    assert before is not None
    assert after is not None
    assert (before.version, after.version) == (1, 2)


def test_what_is_decoded_stays_within_the_budget() -> None:
    held = Slice([row(f"pod-{n}", padding=500) for n in range(20)], decoded_budget_bytes=2500)
    assert len(held.list("pods")) == 20
    assert held._decoded_bytes <= 2500
    assert 0 < len(held._decoded) < 20


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["put", "drop", "get"]), st.integers(0, 900))))
def test_sizes_are_right_whatever_happens(steps: list[tuple[str, str, int]]) -> None:
    held = Slice(decoded_budget_bytes=1000)
    for name, what, padding in steps:
        if what == "put":
            held.put(row(name, padding=padding))
        elif what == "drop":
            held.drop(row(name).key)
        else:
            held.get(row(name).key)
        assert held.size_bytes == sum(len(each.body) for each in held)
        assert held._decoded_bytes == sum(len(each.body) for each in held if each.key in held._decoded) <= 1000
        assert len(held) == held.count_of("pods") == len(held.list("pods"))
