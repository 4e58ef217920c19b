"""What every store engine must do. An engine's tests subclass :class:`StoreContract` and give it a ``lab`` fixture.

An engine that stands on somebody else's server cannot promise everything an embedded one does. What it cannot is
stated once, with the reason, in its lab's :class:`Promises`; whoever promises a thing is held to it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from cloudcore.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Gone,
    NotFound,
    StorageUnavailable,
    TooManyRequests,
)
from cloudcore.store.base import Change, ChangeType, Progress, Record, Since, Store, Watch, encode
from cloudcore.store.settings import StoreSettings
from protocol.objects.keys import ObjectKey, Revision, Uid

# Resources with any fields at all, as a definition can make them: the suite is about storing, not about kinds.
PODS = "pods.contract.test"
NODES = "nodes.contract.test"
SECRETS = "secrets.contract.test"
LEASES = "leases.contract.test"
POD = ObjectKey(PODS, "default", "web")
OTHER = ObjectKey(PODS, "default", "other")
NODE = ObjectKey(NODES, "", "edge-1")
LEASE = ObjectKey(LEASES, "kube-node-lease", "edge-1")


def tail(name: str = "web", **fields: Any) -> bytes:
    return encode({"metadata": {"name": name}, **fields})


@dataclass(frozen=True)
class Promises:
    """What an engine promises beyond Kubernetes' semantics of one object.

    Attributes:
        groups: Writes made together are committed together, in their order; the number that waits is bounded.
        one_order: Revisions of different resources are ordered, and one number says how far all of them are.
        verbatim: An object is stored as it is given, under the uid that is given.
        remembers: A restart keeps the revisions at which contents changed, and the newest revision.
        unlisted: A watch may begin at a revision that no list has said.
        disk: The engine writes the disk itself, and says how that goes.
    """

    groups: bool = True
    one_order: bool = True
    verbatim: bool = True
    remembers: bool = True
    unlisted: bool = True
    disk: bool = True


@dataclass
class StoreLab(ABC):
    """Opens, restarts, crashes and breaks stores of one engine."""

    settings: StoreSettings = field(default_factory=StoreSettings)
    promises: Promises = field(default_factory=Promises)

    def needs(self, promise: str) -> None:
        """Leave a test out where the engine does not promise what it is about."""
        if not getattr(self.promises, promise):
            pytest.skip(f"this engine does not promise: {promise}")

    def check_stored(self, record: Record, uid: str, expected_tail: bytes) -> None:
        """Check what is stored: exactly, or, of a server that fills in, that all of it is there."""
        if self.promises.verbatim:
            assert (record.uid, record.tail) == (uid, expected_tail)
        else:
            whole, expected = record.decode(), orjson.loads(b'{"metadata":{' + expected_tail)
            assert expected.pop("metadata").items() <= whole["metadata"].items()
            assert expected.items() <= whole.items()
            assert record.uid == whole["metadata"]["uid"]

    async def now(self, store: Store, *resources: str) -> Since:
        """Return where a watch of ``resources`` begins that is to see what comes from now on."""
        if self.promises.unlisted:
            return store.revision
        return {resource: (await store.list(resource)).revision for resource in resources}

    def reached(self, store: Store, progress: Progress) -> bool:
        """Tell whether ``progress`` is as far as the store is; no order among resources, nothing to compare."""
        return progress.revision == store.revision or not self.promises.one_order

    def same(self, record: Record, before: Record) -> bool:
        """Tell whether a record read after a restart is the one from before."""
        if self.promises.remembers:
            return record == before
        return (record.json, record.uid, record.revision) == (before.json, before.uid, before.revision)

    @abstractmethod
    async def open(self) -> Store:
        """Open the store on an empty disk."""

    @abstractmethod
    async def reopen(self, store: Store) -> Store:
        """Close ``store`` cleanly and open it again."""

    @abstractmethod
    async def crash(self, store: Store) -> Store:
        """Kill ``store`` and open what is left."""

    @abstractmethod
    def break_disk(self) -> None:
        """From now on no group reaches the disk."""

    @abstractmethod
    def mend_disk(self) -> None:
        """The disk works again."""


def at_once(step: Coroutine[Any, Any, Progress]) -> Progress:
    """Return what an iteration of a watch gives without waiting."""
    try:
        step.send(None)
    except StopIteration as stop:
        value: Progress = stop.value
        return value
    step.close()
    raise AssertionError("the watch would have waited")


def read(watch: Watch) -> Progress:
    return at_once(anext(aiter(watch)))  # type: ignore[arg-type]


async def outcomes(*writes: Coroutine[Any, Any, Record]) -> list[Record | ApiError]:
    results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        assert isinstance(result, Record | ApiError), result
    return results  # type: ignore[return-value]


def describe(changes: list[Change] | tuple[Change, ...]) -> list[tuple[str, str, int]]:
    return [(change.type.value, change.record.key.name, change.revision) for change in changes]


class StoreContract:
    """The suite."""

    @pytest.fixture
    async def store(self, lab: StoreLab) -> Any:
        store = await lab.open()
        yield store
        await store.close()

    # Objects and revisions

    async def test_a_created_object_can_be_read(self, lab: StoreLab, store: Store) -> None:
        created = await store.create(POD, tail(spec={"nodeName": "x"}), uid=Uid("u1"))
        assert await store.get(POD) == created
        lab.check_stored(created, "u1", tail(spec={"nodeName": "x"}))
        assert created.decode()["metadata"]["resourceVersion"] == str(created.revision)
        assert created.content_revision == created.revision == store.revision

    async def test_each_write_has_a_higher_revision(self, store: Store) -> None:
        revisions = [
            store.revision,
            (await store.create(POD, tail(), uid=Uid("u1"))).revision,
            (await store.create(NODE, tail("edge-1"), uid=Uid("u2"))).revision,
            (await store.update(POD, tail(a=1))).revision,
            await store.reserve(),
            (await store.delete(POD)).revision,
        ]
        assert revisions == sorted(set(revisions))

    async def test_a_new_store_does_not_begin_at_zero(self, store: Store) -> None:
        assert store.revision > 0

    async def test_a_taken_key_is_refused(self, store: Store) -> None:
        first = await store.create(POD, tail(), uid=Uid("u1"))
        with pytest.raises(AlreadyExists):
            await store.create(POD, tail(a=1), uid=Uid("u2"))
        assert await store.get(POD) == first

    async def test_an_update_keeps_the_uid(self, lab: StoreLab, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        updated = await store.update(POD, tail(a=1))
        lab.check_stored(updated, "u1", tail(a=1))
        assert updated.uid == created.uid
        assert updated.content_revision == updated.revision

    async def test_a_status_update_keeps_the_content_revision(self, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        updated = await store.update(POD, tail(status={"phase": "x"}), status_only=True)
        assert updated.revision > created.revision
        assert updated.content_revision == created.revision

    async def test_an_update_compares_revision_and_uid(self, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        updated = await store.update(POD, tail(a=1), expected=created.revision, expected_uid=created.uid)
        with pytest.raises(Conflict):
            await store.update(POD, tail(a=2), expected=created.revision)
        with pytest.raises(Conflict):
            await store.update(POD, tail(a=2), expected_uid=Uid("u2"))
        assert await store.get(POD) == updated

    async def test_a_missing_object_is_not_found(self, store: Store) -> None:
        for call in (store.get(POD), store.update(POD, tail()), store.delete(POD)):
            with pytest.raises(NotFound):
                await call

    async def test_a_delete_returns_the_last_state_at_its_own_revision(self, store: Store) -> None:
        created = await store.create(POD, tail(a=1), uid=Uid("u1"))
        deleted = await store.delete(POD)
        assert (deleted.tail, deleted.uid) == (created.tail, created.uid)
        assert deleted.revision == store.revision > created.revision
        with pytest.raises(NotFound):
            await store.get(POD)

    async def test_a_delete_compares_revision_and_uid(self, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        with pytest.raises(Conflict):
            await store.delete(POD, expected_uid=Uid("u2"))
        with pytest.raises(Conflict):
            await store.delete(POD, expected=Revision(created.revision - 1))
        await store.delete(POD, expected=created.revision, expected_uid=created.uid)

    async def test_a_key_can_be_taken_again_after_a_delete(self, store: Store) -> None:
        first = await store.create(POD, tail(), uid=Uid("u1"))
        await store.delete(POD)
        again = await store.create(POD, tail(), uid=Uid("u2"))
        assert (await store.get(POD)).uid == again.uid != first.uid
        assert again.content_revision == again.revision

    # Groups

    async def test_of_rival_creations_one_wins(self, store: Store) -> None:
        results = await outcomes(*(store.create(POD, tail(i=i), uid=Uid(f"u{i}")) for i in range(5)))
        winners = [result for result in results if isinstance(result, Record)]
        assert [await store.get(POD)] == winners
        assert sum(isinstance(result, AlreadyExists) for result in results) == 4

    async def test_of_rival_updates_from_one_revision_one_wins(self, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        results = await outcomes(*(store.update(POD, tail(i=i), expected=created.revision) for i in range(5)))
        assert [await store.get(POD)] == [result for result in results if isinstance(result, Record)]
        assert sum(isinstance(result, Conflict) for result in results) == 4

    async def test_a_write_sees_the_earlier_ones_of_its_group(self, lab: StoreLab, store: Store) -> None:
        lab.needs("groups")
        results = await outcomes(
            store.create(POD, tail(i=1), uid=Uid("u1")),
            store.update(POD, tail(i=2)),
            store.delete(POD),
            store.update(POD, tail(i=3)),
            store.create(POD, tail(i=4), uid=Uid("u2")),
        )
        assert [type(result) for result in results] == [Record, Record, Record, NotFound, Record]
        assert (await store.get(POD)).tail == tail(i=4)

    async def test_a_cancelled_writer_disturbs_nobody(self, store: Store) -> None:
        doomed = asyncio.ensure_future(store.create(POD, tail(), uid=Uid("u1")))
        await asyncio.sleep(0)
        doomed.cancel()
        other = await store.create(OTHER, tail("other"), uid=Uid("u2"))
        assert await store.get(OTHER) == other

    async def test_a_full_queue_refuses_at_once_and_recovers(self, lab: StoreLab) -> None:
        lab.needs("groups")
        lab.settings = StoreSettings(max_pending=4, max_group=2)
        store = await lab.open()
        results = await outcomes(
            *(store.create(ObjectKey(PODS, "d", str(i)), tail(str(i)), uid=Uid(str(i))) for i in range(8))
        )
        refused = [result for result in results if isinstance(result, TooManyRequests)]
        assert len(refused) == 4
        assert {result.retry_after_s for result in refused} == {1}
        await store.create(POD, tail(), uid=Uid("later"))
        assert len((await store.list(PODS)).records) == 5
        await store.close()

    async def test_groups_are_bounded_in_number_and_bytes(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(max_group=3, max_group_bytes=200)
        store = await lab.open()
        keys = [ObjectKey(PODS, "d", f"{i:03d}") for i in range(50)]
        await asyncio.gather(*(store.create(key, tail(key.name, a="x" * 90), uid=Uid(key.name)) for key in keys))
        assert [record.key for record in (await store.list(PODS)).records] == keys
        await store.close()

    # Lists

    async def test_a_list_is_sorted_and_of_one_resource(self, lab: StoreLab, store: Store) -> None:
        for namespace, name in (("b", "x"), ("a", "z"), ("a", "y"), ("a-b", "w")):
            await store.create(ObjectKey(PODS, namespace, name), tail(name), uid=Uid(f"{namespace}{name}"))
        await store.create(NODE, tail("edge-1"), uid=Uid("n"))
        everything = await store.list(PODS)
        assert [record.key[1:] for record in everything.records] == [("a", "y"), ("a", "z"), ("a-b", "w"), ("b", "x")]
        assert everything.revision == store.revision or not lab.promises.one_order
        within = await store.list(PODS, namespace="a")
        assert [record.key.name for record in within.records] == ["y", "z"]
        assert (await store.list(LEASES)).records == []

    async def test_a_list_follows_deletes_and_recreations(self, store: Store) -> None:
        await store.create(POD, tail(), uid=Uid("u1"))
        other = await store.create(OTHER, tail("other"), uid=Uid("u2"))
        assert len((await store.list(PODS)).records) == 2
        await store.delete(POD)
        again = await store.create(POD, tail(a=2), uid=Uid("u3"))
        assert (await store.list(PODS)).records == [other, again]

    async def test_a_list_at_an_older_revision_undoes_what_came_later(self, store: Store) -> None:
        first = await store.create(POD, tail(), uid=Uid("u1"))
        second = await store.create(OTHER, tail("other"), uid=Uid("u2"))
        await store.update(POD, tail(a=1))
        await store.delete(OTHER)
        await store.create(ObjectKey(PODS, "zzz", "new"), tail("new"), uid=Uid("u3"))
        listing = await store.list(PODS, at=second.revision)
        assert (listing.records, listing.revision) == ([second, first], second.revision)
        assert (await store.list(PODS, namespace="zzz", at=second.revision)).records == []

    async def test_a_list_at_a_compacted_or_unknown_revision_is_gone(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(history_changes=8)
        store = await lab.open()
        first = await store.create(POD, tail(), uid=Uid("u1"))
        for i in range(20):
            await store.update(POD, tail(i=i))
        with pytest.raises(Gone):
            await store.list(PODS, at=first.revision)
        with pytest.raises(Gone):
            await store.list(PODS, at=Revision(store.revision + 1))
        await store.close()

    # Watches

    async def test_a_watch_gets_what_came_after_its_revision(self, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        updated = await store.update(POD, tail(a=1))
        deleted = await store.delete(POD)
        watch = store.watch([PODS], since=created.revision)
        progress = read(watch)
        assert list(progress.changes) == [
            Change(ChangeType.MODIFIED, updated, created),
            Change(ChangeType.DELETED, deleted, updated),
        ]
        assert progress.revision == store.revision
        watch.close()

    async def test_a_watcher_has_a_write_before_its_author_is_told(self, lab: StoreLab, store: Store) -> None:
        watch = store.watch([PODS], since=await lab.now(store, PODS))
        for i in range(3):
            key = ObjectKey(PODS, "default", str(i))
            created = await store.create(key, tail(str(i)), uid=Uid(str(i)))
            assert describe(list(read(watch).changes)) == [("ADDED", str(i), created.revision)]
        watch.close()

    async def test_a_waiting_watch_wakes(self, lab: StoreLab, store: Store) -> None:
        watch = store.watch([PODS], since=await lab.now(store, PODS))
        waiting = asyncio.ensure_future(anext(aiter(watch)))
        await asyncio.sleep(0)
        created = await store.create(POD, tail(), uid=Uid("u1"))
        assert (await waiting).changes[0].record == created
        watch.close()

    async def test_a_watch_of_several_resources_is_in_revision_order(self, lab: StoreLab, store: Store) -> None:
        start = await lab.now(store, NODES, PODS)
        written: list[Record] = []
        for i in range(4):
            written.append(await store.create(ObjectKey(PODS, "d", str(i)), tail(str(i)), uid=Uid(f"p{i}")))
            written.append(await store.create(ObjectKey(NODES, "", str(i)), tail(str(i)), uid=Uid(f"n{i}")))
            await store.create(ObjectKey(SECRETS, "d", str(i)), tail(str(i)), uid=Uid(f"s{i}"))
        watch = store.watch([NODES, PODS], since=start)
        changes = read(watch).changes
        assert [change.record for change in changes] == written
        watch.close()

    async def test_a_watch_begins_behind_a_revision_of_each_resource(self, lab: StoreLab, store: Store) -> None:
        await lab.now(store, NODES, PODS)
        old_pod = await store.create(POD, tail(), uid=Uid("p"))
        old_node = await store.create(NODE, tail("edge-1"), uid=Uid("n"))
        new_pod = await store.create(OTHER, tail("other"), uid=Uid("o"))
        watch = store.watch([NODES, PODS], since={NODES: Revision(old_node.revision - 1), PODS: old_pod.revision})
        assert [change.record for change in read(watch).changes] == [old_node, new_pod]
        watch.close()

    async def test_a_watch_reads_in_bounded_batches_without_gaps(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(watch_batch=3)
        store = await lab.open()
        start = await lab.now(store, NODES, PODS)
        written: list[Record] = []
        for i in range(5):
            written.append(await store.create(ObjectKey(PODS, "d", str(i)), tail(str(i)), uid=Uid(f"p{i}")))
            written.append(await store.create(ObjectKey(NODES, "", str(i)), tail(str(i)), uid=Uid(f"n{i}")))
        watch = store.watch([NODES, PODS], since=start)
        seen: list[Record] = []
        while len(seen) < 10:
            progress = read(watch)
            assert 0 < len(progress.changes) <= 3
            seen.extend(change.record for change in progress.changes)
            if len(seen) == 10:
                assert lab.reached(store, progress)
            else:
                assert progress.revision == progress.changes[-1].revision
        assert seen == written
        watch.close()
        await store.close()

    async def test_a_watch_of_a_namespace_sees_only_that(self, lab: StoreLab, store: Store) -> None:
        watch = store.watch([PODS], since=await lab.now(store, PODS), namespace="mine")
        await store.create(POD, tail(), uid=Uid("u1"))
        mine = await store.create(ObjectKey(PODS, "mine", "a"), tail("a"), uid=Uid("u2"))
        assert [change.record for change in read(watch).changes] == [mine]
        watch.close()

    async def test_a_watch_since_a_compacted_or_unknown_revision_is_gone(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(history_changes=8)
        store = await lab.open()
        first = await store.create(POD, tail(), uid=Uid("u1"))
        lagging = store.watch([PODS], since=first.revision)
        for i in range(20):
            await store.update(POD, tail(i=i))
        late = store.watch([PODS], since=first.revision)
        unknown = store.watch([PODS], since=Revision(store.revision + 1))
        for watch in (lagging, late, unknown):
            with pytest.raises(Gone):
                await anext(aiter(watch))
        await store.close()

    async def test_traffic_of_another_resource_compacts_nothing_of_this_one(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(history_changes=8)
        store = await lab.open()
        await store.create(LEASE, tail("edge-1"), uid=Uid("l"))
        watch = store.watch([PODS], since=await lab.now(store, PODS))
        created = await store.create(POD, tail(), uid=Uid("u1"))
        for i in range(50):
            await store.update(LEASE, tail("edge-1", i=i), volatile=True)
        assert [change.record for change in read(watch).changes] == [created]
        watch.close()
        await store.close()

    async def test_a_bookmark_tells_how_far_the_watch_is(self, lab: StoreLab, store: Store) -> None:
        watch = store.watch([PODS], since=await lab.now(store, PODS), bookmark_s=0.0)
        await store.create(NODE, tail("edge-1"), uid=Uid("n"))
        progress = read(watch)
        assert not progress.changes
        assert lab.reached(store, progress)
        watch.close()

    async def test_closing_a_watch_ends_its_iteration(self, lab: StoreLab, store: Store) -> None:
        watch = store.watch([PODS], since=await lab.now(store, PODS))
        waiting = asyncio.ensure_future(anext(aiter(watch), None))
        await asyncio.sleep(0)
        watch.close()
        assert await waiting is None

    async def test_concurrent_writers_make_one_gapless_order(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(max_group=7)
        store = await lab.open()
        watch = store.watch([PODS], since=await lab.now(store, PODS))

        async def work(worker: int) -> None:
            for i in range(12):
                key = ObjectKey(PODS, "d", str((worker * 5 + i) % 9))
                verb = (worker + i) % 3
                call = (store.create(key, tail(key.name), uid=Uid(f"{worker}-{i}")), store.update(key, tail(key.name)))
                await outcomes(store.delete(key) if verb == 2 else call[verb])
                call[1 - verb].close() if verb < 2 else [c.close() for c in call]

        await asyncio.gather(*(work(worker) for worker in range(16)))
        replayed: dict[ObjectKey, Record] = {}
        last = 0
        for change in read(watch).changes:
            assert change.revision > last
            last = change.revision
            assert replayed.get(change.record.key) == change.previous
            if change.type is ChangeType.DELETED:
                del replayed[change.record.key]
            else:
                replayed[change.record.key] = change.record
        assert sorted(replayed.values(), key=lambda record: record.key) == (await store.list(PODS)).records
        watch.close()
        await store.close()

    # Restarts, crashes, failing disks

    async def test_a_restart_keeps_objects_revision_and_incarnation(self, lab: StoreLab) -> None:
        store = await lab.open()
        created = await store.create(POD, tail(), uid=Uid("u1"))
        await store.create(OTHER, tail("other"), uid=Uid("u2"))
        updated = await store.update(OTHER, tail("other", a=1), status_only=True)
        await store.delete(POD)
        revision, incarnation = store.revision, store.incarnation
        store = await lab.reopen(store)
        assert store.incarnation == incarnation
        assert store.revision == revision or not lab.promises.remembers
        (held,) = (await store.list(PODS)).records
        assert lab.same(held, updated)
        fresh = await store.create(POD, tail(), uid=Uid("u3"))
        assert fresh.revision > revision > created.revision
        await store.close()

    async def test_after_a_restart_a_watch_goes_on_only_from_the_newest_revision(self, lab: StoreLab) -> None:
        store = await lab.open()
        created = await store.create(POD, tail(), uid=Uid("u1"))
        await store.update(POD, tail(a=1))
        store = await lab.reopen(store)
        now = await lab.now(store, PODS)
        older = store.watch([PODS], since=created.revision)
        with pytest.raises(Gone):
            await anext(aiter(older))
        newest = store.watch([PODS], since=now)
        await store.delete(POD)
        assert [change.type for change in read(newest).changes] == [ChangeType.DELETED]
        newest.close()
        await store.close()

    async def test_a_crash_loses_nothing_acknowledged_and_repeats_no_revision(self, lab: StoreLab) -> None:
        store = await lab.open()
        incarnation = store.incarnation
        issued: list[int] = []
        for turn in range(3):
            key = ObjectKey(PODS, "d", str(turn))
            issued.append((await store.create(key, tail(str(turn)), uid=Uid(str(turn)))).revision)
            issued.append((await store.update(key, tail(str(turn), a=1), volatile=True)).revision)
            issued.append(await store.reserve())
            store = await lab.crash(store)
            assert store.revision >= issued[-1]
        assert issued == sorted(set(issued))
        assert store.incarnation == incarnation
        assert [record.key.name for record in (await store.list(PODS)).records] == ["0", "1", "2"]
        await store.close()

    async def test_revisions_stay_unique_when_volatile_writes_use_up_a_block(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(revision_block=4)
        store = await lab.open()
        issued = [(await store.create(LEASE, tail("edge-1"), uid=Uid("l"))).revision]
        for _ in range(2):
            for i in range(11):
                issued.append((await store.update(LEASE, tail("edge-1", i=i), volatile=True)).revision)
                issued.append(await store.reserve())
            store = await lab.crash(store)
        issued.append(await store.reserve())
        assert issued == sorted(set(issued))
        await store.close()

    async def test_a_crash_may_lose_volatile_updates_only(self, lab: StoreLab) -> None:
        store = await lab.open()
        created = await store.create(LEASE, tail("edge-1"), uid=Uid("l"), volatile=True)
        renewed = await store.update(LEASE, tail("edge-1", renewed=1), volatile=True)
        assert await store.get(LEASE) == renewed
        store = await lab.crash(store)
        held = await store.get(LEASE)
        assert lab.same(held, created) or lab.same(held, renewed)
        durable = await store.update(LEASE, tail("edge-1", holder="x"))
        await store.update(LEASE, tail("edge-1", holder="y"), volatile=True)
        store = await lab.crash(store)
        assert (await store.get(LEASE)).revision >= durable.revision
        await store.close()

    async def test_a_clean_close_keeps_volatile_updates(self, lab: StoreLab) -> None:
        store = await lab.open()
        await store.create(LEASE, tail("edge-1"), uid=Uid("l"))
        await store.create(POD, tail(), uid=Uid("u1"))
        renewed = await store.update(LEASE, tail("edge-1", renewed=1), volatile=True)
        await store.update(POD, tail(a=1), volatile=True)
        await store.delete(POD)
        store = await lab.reopen(store)
        assert lab.same(await store.get(LEASE), renewed)
        with pytest.raises(NotFound):
            await store.get(POD)
        await store.close()

    async def test_a_failed_group_fails_whole_and_never_shows(self, lab: StoreLab) -> None:
        lab.needs("disk")
        store = await lab.open()
        created = await store.create(POD, tail(), uid=Uid("u1"))
        watch = store.watch([PODS, NODES], since=store.revision)
        lab.break_disk()
        assert store.trouble == ""
        results = await outcomes(
            store.update(POD, tail(a=1)),
            store.create(NODE, tail("edge-1"), uid=Uid("n")),
            store.create(POD, tail(), uid=Uid("u2")),
        )
        assert [type(result) for result in results] == [StorageUnavailable] * 3
        assert await store.get(POD) == created
        assert (await store.list(NODES)).records == []
        assert "disk failed" in store.trouble
        lab.mend_disk()
        updated = await store.update(POD, tail(a=2), expected=created.revision)
        assert store.trouble == ""
        assert list(read(watch).changes) == [Change(ChangeType.MODIFIED, updated, created)]
        watch.close()
        store = await lab.crash(store)
        assert (await store.list(PODS)).records == [updated]
        assert (await store.list(NODES)).records == []
        await store.close()

    async def test_heartbeats_go_on_while_the_disk_is_broken(self, lab: StoreLab) -> None:
        lab.needs("disk")
        store = await lab.open()
        await store.create(LEASE, tail("edge-1"), uid=Uid("l"))
        lab.break_disk()
        create = store.create(POD, tail(), uid=Uid("u1"))
        failed, renewed = await outcomes(create, store.update(LEASE, tail("edge-1", renewed=1), volatile=True))
        assert isinstance(failed, StorageUnavailable)
        assert await store.get(LEASE) == renewed
        lab.mend_disk()
        await store.close()

    async def test_close_commits_what_is_queued_and_ends_watches(self, lab: StoreLab) -> None:
        store = await lab.open()
        watch = store.watch([NODES], since=await lab.now(store, NODES))
        waiting = asyncio.ensure_future(anext(aiter(watch), None))
        queued = asyncio.ensure_future(store.create(POD, tail(), uid=Uid("u1")))
        await asyncio.sleep(0)
        reopened = await lab.reopen(store)
        assert await waiting is None
        assert lab.same(await reopened.get(POD), await queued)
        with pytest.raises(StorageUnavailable):
            await store.create(OTHER, tail("other"), uid=Uid("u2"))
        await store.close()
        await reopened.close()
