"""History and ledger against a model that keeps every revision's whole state."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from cloudcore.errors import Gone, StorageUnavailable
from cloudcore.store.base import Change, ChangeType, Record
from cloudcore.store.history import FIRST_REVISION, History
from cloudcore.store.ledger import Ledger
from cloudcore.store.settings import StoreSettings
from cloudcore.store.shelf import Shelf
from cloudcore.store.writes import Create, Delete, Precondition, Update, Write
from protocol.objects.keys import ObjectKey, Revision, Uid
from tests.support.examples import trying

RESOURCES = ("pods", "nodes")
KEYS = st.builds(ObjectKey, st.sampled_from(RESOURCES), st.sampled_from(["a", "b"]), st.sampled_from("xyz"))
State = dict[ObjectKey, Record]


@dataclass
class Reader:
    """A watcher's view: what it has read, and the state that makes."""

    shelf: Shelf
    position: int
    state: State


class StoreMachine(RuleBasedStateMachine):
    readers = Bundle("readers")

    @initialize()
    def begin(self) -> None:
        self.history = History(FIRST_REVISION, StoreSettings(history_changes=16, history_bytes=400, history_age_s=50.0))
        self.ledger = Ledger(self.history, FIRST_REVISION)
        self.states: dict[int, State] = {FIRST_REVISION: {}}
        self.uncommitted: list[tuple[Write, Future[Record]]] = []
        self.now = 0.0

    @rule(
        key=KEYS, verb=st.sampled_from(["create", "update", "delete"]), size=st.integers(0, 60), volatile=st.booleans()
    )
    def submit(self, key: ObjectKey, verb: str, size: int, volatile: bool) -> None:
        waiter: Future[Record] = Future()
        write: Write
        if verb == "create":
            write = Create(key, waiter, b"c" * size, Uid(f"uid-{len(self.uncommitted)}"))
        elif verb == "update":
            write = Update(key, waiter, Precondition(), b"u" * size, volatile=volatile)
        else:
            write = Delete(key, waiter, Precondition())
        self.uncommitted.append((write, waiter))
        self.ledger.submit(write)

    @rule(seconds=st.floats(0.0, 20.0))
    def commit(self, seconds: float) -> None:
        self.now += seconds
        group = self.ledger.next_group()
        if group is None:
            return
        before = self.history.revision
        state = dict(self.states[before])
        for change in group.changes:
            key = change.record.key
            assert state.get(key) == change.previous
            if change.type is ChangeType.DELETED:
                del state[key]
            else:
                state[key] = change.record
            self.states[change.revision] = dict(state)
        self.ledger.commit(group, self.now)
        self.states[self.history.revision] = state
        assert all(waiter.done() for waiter, _ in group.verdicts)
        self.uncommitted = [(write, waiter) for write, waiter in self.uncommitted if not waiter.done()]
        assert len(self.uncommitted) == self.ledger.pending

    @rule()
    def fail(self) -> None:
        group = self.ledger.next_group()
        if group is None:
            return
        self.ledger.fail(group, "no disk")
        spared = {id(waiter) for write, waiter in self.uncommitted if write.volatile}
        assert all(waiter.done() or id(waiter) in spared for waiter, _ in group.verdicts)
        self.uncommitted = [(write, waiter) for write, waiter in self.uncommitted if not waiter.done()]
        assert len(self.uncommitted) == self.ledger.pending

    @rule(target=readers, resource=st.sampled_from(RESOURCES), back=st.integers(0, 30))
    def watch(self, resource: str, back: int) -> Reader:
        revision = max((r for r in self.states if r <= self.history.revision - back), default=FIRST_REVISION)
        shelf = self.history.shelf(resource)
        if revision < shelf.floor:
            with pytest.raises(Gone):
                self.history.check_known(resource, Revision(revision))
            revision = self.history.revision
        self.history.check_known(resource, Revision(revision))
        state = {key: record for key, record in self.states[revision].items() if key.resource == resource}
        return Reader(shelf, shelf.position_after(Revision(revision)), state)

    @rule(reader=readers, limit=st.integers(1, 5))
    def read(self, reader: Reader, limit: int) -> None:
        if reader.position < reader.shelf.first:
            return
        for change in reader.shelf.since(reader.position, limit):
            assert reader.state.get(change.record.key) == change.previous
            if change.type is ChangeType.DELETED:
                del reader.state[change.record.key]
            else:
                reader.state[change.record.key] = change.record
            reader.position += 1
        if reader.position == reader.shelf.end:
            assert sorted(reader.state.values(), key=lambda r: r.key) == reader.shelf.select(None)

    @rule(resource=st.sampled_from(RESOURCES), namespace=st.sampled_from([None, "a"]), back=st.integers(0, 30))
    def list_at(self, resource: str, namespace: str | None, back: int) -> None:
        revision = max((r for r in self.states if r <= self.history.revision - back), default=FIRST_REVISION)
        if revision < self.history.shelf(resource).floor:
            with pytest.raises(Gone):
                self.history.list(resource, namespace, Revision(revision))
            return
        expected = sorted(
            (
                record
                for key, record in self.states[revision].items()
                if key.resource == resource and namespace in (None, key.namespace)
            ),
            key=lambda record: record.key,
        )
        assert self.history.list(resource, namespace, Revision(revision)).records == expected

    @invariant()
    def what_is_kept_is_bounded_and_counted(self) -> None:
        shelves = list(self.history.shelves())
        kept = [change for shelf in shelves for change in shelf.changes]
        assert self.history.size_bytes == sum(len(change.record.tail) for change in kept) <= 400
        assert all(len(shelf.changes) <= 16 for shelf in shelves)

    @invariant()
    def readers_see_committed_state_only(self) -> None:
        assert {record.key: record for record in self.history.records()} == self.states[self.history.revision]


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = trying(60, stateful_step_count=40)


def change(resource: str, name: str, revision: int, size: int = 1) -> Change:
    key = ObjectKey(resource, "d", name)
    return Change(ChangeType.ADDED, Record(key, Uid(name), Revision(revision), Revision(revision), b"x" * size))


class Bell:
    def __init__(self) -> None:
        self.rung = 0

    def wake(self) -> None:
        self.rung += 1

    def close(self) -> None:
        self.rung = -1


def test_a_publication_wakes_the_listeners_of_its_resources_once() -> None:
    history = History(FIRST_REVISION, StoreSettings())
    pods, leases = Bell(), Bell()
    history.shelf("pods").listeners[pods] = None
    history.shelf("leases").listeners[leases] = None
    history.publish([change("pods", str(i), 2 + i) for i in range(5)], Revision(6), 0.0)
    assert (pods.rung, leases.rung) == (1, 0)


def test_changes_age_out() -> None:
    history = History(FIRST_REVISION, StoreSettings(history_age_s=100.0))
    history.publish([change("pods", "a", 2)], Revision(2), 0.0)
    history.publish([change("pods", "b", 3)], Revision(3), 60.0)
    history.publish([change("nodes", "n", 4)], Revision(4), 120.0)
    shelf = history.shelf("pods")
    assert [kept.record.uid for kept in shelf.changes] == ["b"]
    assert shelf.floor == 2


def test_the_largest_resource_gives_way_first() -> None:
    history = History(FIRST_REVISION, StoreSettings(history_bytes=1_000))
    history.publish([change("pods", "a", 2, size=10)], Revision(2), 0.0)
    for i in range(30):
        history.publish([change("secrets", str(i), 3 + i, size=100)], Revision(3 + i), 0.0)
    assert history.size_bytes <= 1_000
    assert len(history.shelf("pods").changes) == 1


def test_abandoned_writers_are_told() -> None:
    history = History(FIRST_REVISION, StoreSettings(max_group=1))
    ledger = Ledger(history, FIRST_REVISION)
    waiters: list[Future[Record]] = [Future() for _ in range(3)]
    for i, waiter in enumerate(waiters):
        ledger.submit(Create(ObjectKey("pods", "d", str(i)), waiter, b"", Uid(str(i))))
    assert ledger.next_group() is not None
    ledger.abandon("gone")
    assert [type(waiter.exception(0)) for waiter in waiters] == [StorageUnavailable] * 3
    assert (ledger.pending, ledger.next_group()) == (0, None)
