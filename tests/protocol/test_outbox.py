from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.errors import OutboxFull
from protocol.messages import Item, Lane, Op
from protocol.objects.keys import ObjectKey, Uid
from protocol.outbox import ITEM_OVERHEAD_BYTES, MAX_CHAIN_DELETES, Entry, Outbox, weight_of
from tests.support.examples import trying
from tests.support.links import command, delete, put

MANY = 1_000_000


def sent(entries: list[Entry]) -> list[Item]:
    return [entry.sent for entry in entries if entry.sent is not None]


def take_all(outbox: Outbox) -> list[Item]:
    """Take and settle until nothing is owed; the order in which items went."""
    gone: list[Item] = []
    while entries := outbox.take(MANY, MANY):
        gone += sent(entries)
        outbox.applied(entries)
        outbox.check_invariants()
    return gone


def filled(*items: Item) -> Outbox:
    outbox = Outbox()
    for item in items:
        outbox.put(item, 0.0)
        outbox.check_invariants()
    return outbox


def test_a_newer_put_replaces_the_pending_one() -> None:
    assert take_all(filled(put("a", 1), put("a", 2))) == [put("a", 2)]


def test_a_delete_replaces_the_pending_put_of_its_uid() -> None:
    assert take_all(filled(put("a", 1), delete("a", 2))) == [delete("a", 2)]


def test_a_put_revives_what_a_pending_delete_of_its_uid_would_remove() -> None:
    assert take_all(filled(delete("a", 1), put("a", 2))) == [put("a", 2)]


def test_a_new_uid_waits_behind_the_delete_of_the_old_one() -> None:
    outbox = filled(delete("a", uid="old"), put("a", uid="new"))
    first = outbox.take(MANY, MANY)
    assert sent(first) == [delete("a", uid="old")]
    assert outbox.take(MANY, MANY) == []  # one item of a key in flight at a time
    outbox.applied(first)
    assert take_all(outbox) == [put("a", uid="new")]


def test_a_delete_of_another_uid_leaves_the_pending_put_alone() -> None:
    assert take_all(filled(put("a", uid="new"), delete("a", uid="old"))) == [
        put("a", uid="new"),
        delete("a", uid="old"),
    ]


def test_a_newer_put_keeps_its_place_before_a_stale_delete() -> None:
    outbox = filled(put("a", 1, uid="new"), delete("a", uid="old"), put("a", 2, uid="new"), delete("a", 3, uid="new"))
    assert take_all(outbox) == [delete("a", 3, uid="new"), delete("a", uid="old")]


def test_a_repeated_delete_is_one_delete() -> None:
    outbox = filled(delete("a", 1), delete("a", 2))
    assert sent(outbox.take(MANY, MANY)) == [delete("a", 2)]
    outbox.put(delete("a", 2), 0.0)  # the same one is in flight
    assert list(outbox.items()) == [delete("a", 2)]


def test_a_chain_of_deletes_is_bounded_and_keeps_the_oldest_and_the_newest() -> None:
    outbox = filled(*(delete("a", uid=f"u{index}") for index in range(MAX_CHAIN_DELETES + 3)), put("a", uid="last"))
    gone = [item.uid for item in take_all(outbox)]
    assert gone == ["u0", "u4", "u5", "u6", "u7", "u8", "u9", "u10", "last"]


def test_lanes_go_in_order_of_priority() -> None:
    outbox = Outbox()
    for lane in reversed(Lane):
        outbox.put(put(lane.name), 0.0, lane)
    assert [item.key.name for item in take_all(outbox)] == [lane.name for lane in Lane]


def test_default_lanes() -> None:
    outbox = filled(put("a"), delete("b"), command("c"))
    assert [outbox.depth(lane) for lane in Lane] == [0, 1, 1, 0, 1]
    assert outbox.queued_items == 3


def test_an_urgent_item_carries_its_chain_with_it() -> None:
    outbox = Outbox()
    outbox.put(put("spec"), 0.0)
    outbox.put(put("a", uid="old"), 0.0, Lane.BULK)
    outbox.put(delete("a", uid="older"), 0.0)
    first = outbox.take(1, MANY)
    assert sent(first) == [put("a", uid="old")]
    outbox.applied(first)
    assert take_all(outbox) == [delete("a", uid="older"), put("spec")]


def test_stale_places_in_a_starved_lane_do_not_pile_up() -> None:
    outbox = Outbox()
    for turn in range(1000):
        outbox.put(put("a", turn), 0.0, Lane.BULK)
        outbox.put(delete("a", turn, uid="stale"), 0.0, Lane.LEASE)
        outbox.put(put("filler", turn), 0.0, Lane.DELETE)
        outbox.check_invariants()
        for _ in range(3):
            outbox.applied(outbox.take(1, 1))  # full before it comes to the lower lanes
    assert len(outbox) == 0


def test_an_order_of_urgency_survives_compaction() -> None:
    outbox = Outbox()
    for index in range(200):
        outbox.put(put(f"p{index}"), 0.0, Lane.BULK)
    for index in range(150):
        outbox.put(delete(f"p{index}"), 0.0)
        outbox.check_invariants()
    gone = [item.key.name for item in take_all(outbox)]
    assert gone == [f"p{index}" for index in range(200)]


def test_batches_are_limited_by_items_and_by_bytes() -> None:
    outbox = filled(*(put(f"p{index}", body=bytes(100)) for index in range(10)))
    each = 100 + ITEM_OVERHEAD_BYTES
    assert weight_of(put("x", body=bytes(100))) == each
    assert len(outbox.take(3, MANY)) == 3
    assert len(outbox.take(MANY, 2 * each)) == 2
    assert len(outbox.take(MANY, 2 * each - 1)) == 1
    assert len(outbox.take(MANY, 1)) == 1  # one always goes, or a large item would wait for ever
    outbox.check_invariants()


def test_a_batch_fills_up_from_the_next_lane() -> None:
    outbox = filled(put("a"), delete("b"))
    assert sent(outbox.take(MANY, MANY)) == [delete("b"), put("a")]
    outbox = filled(put("a"), delete("b"))
    assert sent(outbox.take(MANY, ITEM_OVERHEAD_BYTES)) == [delete("b")]


def test_commands_with_one_id_are_one_command() -> None:
    outbox = filled(command("c1", b"first"), command("c1", b"again"), command("c2"))
    assert take_all(outbox) == [command("c1", b"first"), command("c2")]


def test_the_command_bound_refuses_the_next_and_drops_nothing() -> None:
    outbox = Outbox(max_commands=2)
    outbox.put(command("c1"), 0.0)
    outbox.put(command("c2"), 0.0)
    with pytest.raises(OutboxFull):
        outbox.put(command("c3"), 0.0)
    outbox.put(command("c2"), 0.0)  # known: no second place needed
    assert take_all(outbox) == [command("c1"), command("c2")]
    outbox.put(command("c3"), 0.0)
    assert len(outbox) == 1


def test_a_newer_put_goes_after_the_one_in_flight() -> None:
    outbox = filled(put("a", 1))
    first = outbox.take(MANY, MANY)
    outbox.put(put("a", 2), 1.0)
    outbox.check_invariants()
    assert outbox.queued_items == 0
    outbox.applied(first)
    outbox.check_invariants()
    assert take_all(outbox) == [put("a", 2)]


def test_attach_brings_back_what_was_in_flight_unless_superseded() -> None:
    outbox = filled(put("a", 1), put("b", 1), put("c", 1), delete("d", uid="old"))
    outbox.take(MANY, MANY)
    outbox.put(put("b", 2), 0.0)
    outbox.put(delete("c", 2), 0.0)
    outbox.put(put("d", uid="new"), 0.0)
    generation = outbox.generation
    assert outbox.attach() == generation + 1
    outbox.check_invariants()
    assert sorted(item.key.name for item in outbox.items()) == ["a", "b", "c", "d", "d"]
    gone = take_all(outbox)
    assert {put("a", 1), put("b", 2), delete("c", 2)} < set(gone)
    assert [item for item in gone if item.key.name == "d"] == [delete("d", uid="old"), put("d", uid="new")]


def test_a_returning_put_yields_to_a_put_of_another_uid() -> None:
    outbox = filled(put("a", uid="old"))
    outbox.take(MANY, MANY)
    outbox.put(put("a", uid="new"), 0.0)
    outbox.attach()
    assert take_all(outbox) == [put("a", uid="new")]


def test_a_deferred_item_comes_back_when_due_and_holds_up_no_other() -> None:
    outbox = filled(put("a"), put("b"))
    first, second = outbox.take(MANY, MANY)
    outbox.defer(first, until=5.0)
    outbox.applied([second])
    outbox.check_invariants()
    assert outbox.next_wake() == 5.0
    outbox.wake(4.9)
    assert outbox.take(MANY, MANY) == []
    outbox.put(put("b", 2), 0.0)
    assert sent(outbox.take(MANY, MANY)) == [put("b", 2)]
    outbox.wake(5.0)
    assert sent(outbox.take(MANY, MANY)) == [put("a")]
    assert outbox.next_wake() is None


def test_a_put_meanwhile_replaces_a_deferred_item_but_does_not_hurry_it() -> None:
    outbox = filled(put("a", 1))
    outbox.defer(outbox.take(MANY, MANY)[0], until=5.0)
    outbox.put(put("a", 2), 1.0)
    assert outbox.take(MANY, MANY) == []
    outbox.wake(5.0)
    outbox.check_invariants()
    assert take_all(outbox) == [put("a", 2)]


def test_the_age_is_that_of_the_longest_owed() -> None:
    outbox = Outbox()
    assert outbox.oldest_since() is None
    outbox.put(put("a", 1), 1.0)
    outbox.put(put("b", 1), 2.0)
    flight = outbox.take(MANY, MANY)
    outbox.put(put("a", 2), 3.0)
    assert outbox.oldest_since() == 1.0
    outbox.applied(flight)
    assert outbox.oldest_since() == 3.0


KEYS = ("a", "b", "c")


class OutboxMachine(RuleBasedStateMachine):
    """An obedient owner, a peer that applies what it is sent, and faults in between.

    The model is the owner's own view: which uid and version each key should end with. However items are merged,
    deferred, lost and sent again, the peer ends with exactly that.
    """

    @initialize()
    def start(self) -> None:
        self.outbox = Outbox()
        self.wanted: dict[ObjectKey, tuple[Uid, int]] = {}
        self.peer: dict[ObjectKey, tuple[Uid, int]] = {}
        self.flights: list[Entry] = []
        self.counter = 0
        self.now = 0.0

    @rule(name=st.sampled_from(KEYS), lane=st.sampled_from([None, *Lane]))
    def change(self, name: str, lane: Lane | None) -> None:
        self.counter += 1
        held = self.wanted.get(put(name).key)
        item = put(name, self.counter, uid=held[0] if held else f"uid-{self.counter}")
        self.wanted[item.key] = (item.uid, item.version)
        self.outbox.put(item, self.now, lane)

    @rule(name=st.sampled_from(KEYS))
    def remove(self, name: str) -> None:
        held = self.wanted.pop(put(name).key, None)
        if held is not None:
            self.outbox.put(delete(name, uid=held[0]), self.now)

    @rule(name=st.sampled_from(KEYS), lane=st.sampled_from([None, *Lane]))
    def remake(self, name: str, lane: Lane | None) -> None:
        self.remove(name)
        self.change(name, lane)

    @rule(limit=st.integers(1, 4))
    def transmit(self, limit: int) -> None:
        entries = self.outbox.take(limit, MANY)
        keys = [entry.key for entry in (*entries, *self.flights)]
        assert len(keys) == len(set(keys))
        self.flights += entries

    @precondition(lambda self: self.flights)
    @rule(applied=st.booleans())
    def settle(self, applied: bool) -> None:
        entry = self.flights.pop(0)
        assert entry.sent is not None
        if applied:
            self._apply(entry.sent)
            self.outbox.applied([entry])
        else:
            self.outbox.defer(entry, self.now + 1.0)

    @rule(delivered=st.booleans())
    def lose_connection(self, delivered: bool) -> None:
        for entry in self.flights if delivered else ():
            assert entry.sent is not None
            self._apply(entry.sent)  # applied, but the ack was lost
        self.flights.clear()
        self.outbox.attach()

    @rule()
    def wait(self) -> None:
        self.now += 1.0
        self.outbox.wake(self.now)

    @invariant()
    def consistent(self) -> None:
        self.outbox.check_invariants()

    def _apply(self, item: Item) -> None:
        if item.op == Op.PUT:
            self.peer[item.key] = (item.uid, item.version)
        elif self.peer.get(item.key, ("", 0))[0] == item.uid:
            del self.peer[item.key]

    def teardown(self) -> None:
        while len(self.outbox):
            self.wait()
            self.transmit(4)
            while self.flights:
                self.settle(True)
        assert self.peer == self.wanted


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = trying(60, stateful_step_count=40)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Lane), st.integers(0, 3)), max_size=40))
def test_counts_stay_true_whatever_is_put(steps: list[tuple[str, Lane, int]]) -> None:
    outbox = Outbox()
    for turn, (name, lane, limit) in enumerate(steps):
        outbox.put(put(name, turn, body=bytes(turn)), 0.0, lane)
        outbox.check_invariants()
        if limit:
            outbox.applied(outbox.take(limit, MANY))
            outbox.check_invariants()
