from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.digest import DIGEST_BYTES, Digest, difference
from protocol.messages import NO_DIGEST, InventoryEntry
from protocol.objects.keys import ObjectKey, Revision, Uid

KEYS = st.builds(ObjectKey, st.sampled_from(["pods", "secrets"]), st.sampled_from(["", "ns"]), st.sampled_from("abcd"))
VALUES = st.tuples(st.sampled_from(["u1", "u2", "u3"]).map(Uid), st.integers(1, 3).map(Revision))
HOLDINGS = st.dictionaries(KEYS, VALUES, max_size=8)
Holding = dict[ObjectKey, tuple[Uid, Revision]]


def entries(holding: Holding) -> list[InventoryEntry]:
    return [InventoryEntry(key, uid, version) for key, (uid, version) in holding.items()]


@given(HOLDINGS, st.randoms())
def test_order_does_not_matter(holding: Holding, rng: object) -> None:
    ordered = entries(holding)
    assert Digest("i", ordered).value == Digest("i", reversed(ordered)).value
    assert len(Digest("i", ordered).value) == DIGEST_BYTES


@given(HOLDINGS, HOLDINGS)
def test_digests_are_equal_exactly_when_holdings_are(one: Holding, other: Holding) -> None:
    assert (Digest("i", entries(one)).value == Digest("i", entries(other)).value) == (one == other)


@given(HOLDINGS, HOLDINGS)
def test_a_digest_can_be_kept_up_to_date(before: Holding, after: Holding) -> None:
    digest = Digest("i", entries(before))
    for entry in entries(before):
        digest.remove(entry)
    assert (digest.value, digest.count) == (NO_DIGEST, 0)
    for entry in entries(after):
        digest.add(entry)
    assert (digest.value, digest.count) == (Digest("i", entries(after)).value, len(after))


def test_incarnations_have_different_digests() -> None:
    held = entries({ObjectKey("pods", "ns", "a"): (Uid("u"), Revision(1))})
    assert Digest("one", held).value != Digest("two", held).value


def test_fields_do_not_run_into_one_another() -> None:
    one = InventoryEntry(ObjectKey("pods", "ab", "c"), Uid("u"), Revision(1))
    other = InventoryEntry(ObjectKey("pods", "a", "bc"), Uid("u"), Revision(1))
    assert Digest("i", [one]).value != Digest("i", [other]).value


@given(HOLDINGS, HOLDINGS)
def test_applying_the_difference_makes_holdings_equal(held: Holding, wanted: Holding) -> None:
    to_send, to_delete = difference(entries(held), wanted)
    after = dict(held)
    for entry in to_delete:
        assert after[entry.key][0] == entry.uid
        del after[entry.key]
    for key in to_send:
        assert after.get(key) != wanted[key]
        after[key] = wanted[key]
    assert after == wanted


@given(HOLDINGS, HOLDINGS)
def test_under_another_incarnation_everything_is_sent(held: Holding, wanted: Holding) -> None:
    to_send, to_delete = difference(entries(held), wanted, same_incarnation=False)
    assert to_send == list(wanted)
    assert {(entry.key, entry.uid) for entry in to_delete} == {
        (key, uid) for key, (uid, _) in held.items() if key not in wanted or wanted[key][0] != uid
    }
