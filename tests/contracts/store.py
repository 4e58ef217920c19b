"""What every store engine must do. An engine's tests subclass :class:`StoreContract` and give it a ``lab`` fixture."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

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
from cloudcore.store.base import Change, ChangeType, Progress, Record, Store, Watch, encode
from cloudcore.store.settings import StoreSettings
from protocol.objects.keys import ObjectKey, Revision, Uid

POD = ObjectKey("pods", "default", "web")
OTHER = ObjectKey("pods", "default", "other")
NODE = ObjectKey("nodes", "", "edge-1")
LEASE = ObjectKey("leases.coordination.k8s.io", "kube-node-lease", "edge-1")


def tail(name: str = "web", **fields: Any) -> bytes:
    return encode({"metadata": {"name": name}, **fields})


@dataclass
class StoreLab(ABC):
    """Opens, restarts, crashes and breaks stores of one engine."""

    settings: StoreSettings = field(default_factory=StoreSettings)

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

    async def test_a_created_object_can_be_read(self, store: Store) -> None:
        created = await store.create(POD, tail(spec={"nodeName": "x"}), uid=Uid("u1"))
        assert await store.get(POD) == created
        assert created.decode() == {
            "metadata": {"resourceVersion": str(created.revision), "name": "web"},
            "spec": {"nodeName": "x"},
        }
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

    async def test_an_update_keeps_the_uid(self, store: Store) -> None:
        await store.create(POD, tail(), uid=Uid("u1"))
        updated = await store.update(POD, tail(a=1))
        assert (updated.uid, updated.tail) == ("u1", tail(a=1))
        assert updated.content_revision == updated.revision

    async def test_a_status_update_keeps_the_content_revision(self, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        updated = await store.update(POD, tail(status={}), status_only=True)
        assert updated.revision > created.revision
        assert updated.content_revision == created.revision

    async def test_an_update_compares_revision_and_uid(self, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        updated = await store.update(POD, tail(a=1), expected=created.revision, expected_uid=Uid("u1"))
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
        assert (deleted.tail, deleted.uid) == (created.tail, "u1")
        assert deleted.revision == store.revision > created.revision
        with pytest.raises(NotFound):
            await store.get(POD)

    async def test_a_delete_compares_revision_and_uid(self, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        with pytest.raises(Conflict):
            await store.delete(POD, expected_uid=Uid("u2"))
        with pytest.raises(Conflict):
            await store.delete(POD, expected=Revision(created.revision - 1))
        await store.delete(POD, expected=created.revision, expected_uid=Uid("u1"))

    async def test_a_key_can_be_taken_again_after_a_delete(self, store: Store) -> None:
        await store.create(POD, tail(), uid=Uid("u1"))
        await store.delete(POD)
        again = await store.create(POD, tail(), uid=Uid("u2"))
        assert (await store.get(POD)).uid == "u2"
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

    async def test_a_write_sees_the_earlier_ones_of_its_group(self, store: Store) -> None:
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
        await store.create(OTHER, tail("other"), uid=Uid("u2"))
        assert (await store.get(OTHER)).uid == "u2"

    async def test_a_full_queue_refuses_at_once_and_recovers(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(max_pending=4, max_group=2)
        store = await lab.open()
        results = await outcomes(
            *(store.create(ObjectKey("pods", "d", str(i)), tail(str(i)), uid=Uid(str(i))) for i in range(8))
        )
        refused = [result for result in results if isinstance(result, TooManyRequests)]
        assert len(refused) == 4
        assert {result.retry_after_s for result in refused} == {1}
        await store.create(POD, tail(), uid=Uid("later"))
        assert len((await store.list("pods")).records) == 5
        await store.close()

    async def test_groups_are_bounded_in_number_and_bytes(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(max_group=3, max_group_bytes=200)
        store = await lab.open()
        keys = [ObjectKey("pods", "d", f"{i:03d}") for i in range(50)]
        await asyncio.gather(*(store.create(key, tail(key.name, a="x" * 90), uid=Uid(key.name)) for key in keys))
        assert [record.key for record in (await store.list("pods")).records] == keys
        await store.close()

    # Lists

    async def test_a_list_is_sorted_and_of_one_resource(self, store: Store) -> None:
        for namespace, name in (("b", "x"), ("a", "z"), ("a", "y"), ("a-b", "w")):
            await store.create(ObjectKey("pods", namespace, name), tail(name), uid=Uid(f"{namespace}{name}"))
        await store.create(NODE, tail("edge-1"), uid=Uid("n"))
        everything = await store.list("pods")
        assert [record.key[1:] for record in everything.records] == [("a", "y"), ("a", "z"), ("a-b", "w"), ("b", "x")]
        assert everything.revision == store.revision
        within = await store.list("pods", namespace="a")
        assert [record.key.name for record in within.records] == ["y", "z"]
        assert (await store.list("services")).records == []

    async def test_a_list_follows_deletes_and_recreations(self, store: Store) -> None:
        await store.create(POD, tail(), uid=Uid("u1"))
        await store.create(OTHER, tail("other"), uid=Uid("u2"))
        assert len((await store.list("pods")).records) == 2
        await store.delete(POD)
        await store.create(POD, tail(a=2), uid=Uid("u3"))
        assert [record.uid for record in (await store.list("pods")).records] == ["u2", "u3"]

    async def test_a_list_at_an_older_revision_undoes_what_came_later(self, store: Store) -> None:
        first = await store.create(POD, tail(), uid=Uid("u1"))
        second = await store.create(OTHER, tail("other"), uid=Uid("u2"))
        await store.update(POD, tail(a=1))
        await store.delete(OTHER)
        await store.create(ObjectKey("pods", "zzz", "new"), tail("new"), uid=Uid("u3"))
        listing = await store.list("pods", at=second.revision)
        assert (listing.records, listing.revision) == ([second, first], second.revision)
        assert (await store.list("pods", namespace="zzz", at=second.revision)).records == []

    async def test_a_list_at_a_compacted_or_unknown_revision_is_gone(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(history_changes=8)
        store = await lab.open()
        first = await store.create(POD, tail(), uid=Uid("u1"))
        for i in range(20):
            await store.update(POD, tail(i=i))
        with pytest.raises(Gone):
            await store.list("pods", at=first.revision)
        with pytest.raises(Gone):
            await store.list("pods", at=Revision(store.revision + 1))
        await store.close()

    # Watches

    async def test_a_watch_gets_what_came_after_its_revision(self, store: Store) -> None:
        created = await store.create(POD, tail(), uid=Uid("u1"))
        updated = await store.update(POD, tail(a=1))
        deleted = await store.delete(POD)
        watch = store.watch(["pods"], since=created.revision)
        progress = read(watch)
        assert list(progress.changes) == [
            Change(ChangeType.MODIFIED, updated, created),
            Change(ChangeType.DELETED, deleted, updated),
        ]
        assert progress.revision == store.revision
        watch.close()

    async def test_a_watcher_has_a_write_before_its_author_is_told(self, store: Store) -> None:
        watch = store.watch(["pods"], since=store.revision)
        for i in range(3):
            key = ObjectKey("pods", "default", str(i))
            created = await store.create(key, tail(str(i)), uid=Uid(str(i)))
            assert describe(list(read(watch).changes)) == [("ADDED", str(i), created.revision)]
        watch.close()

    async def test_a_waiting_watch_wakes(self, store: Store) -> None:
        watch = store.watch(["pods"], since=store.revision)
        waiting = asyncio.ensure_future(anext(aiter(watch)))
        await asyncio.sleep(0)
        created = await store.create(POD, tail(), uid=Uid("u1"))
        assert (await waiting).changes[0].record == created
        watch.close()

    async def test_a_watch_of_several_resources_is_in_revision_order(self, store: Store) -> None:
        start = store.revision
        for i in range(4):
            await store.create(ObjectKey("pods", "d", str(i)), tail(str(i)), uid=Uid(f"p{i}"))
            await store.create(ObjectKey("nodes", "", str(i)), tail(str(i)), uid=Uid(f"n{i}"))
            await store.create(ObjectKey("secrets", "d", str(i)), tail(str(i)), uid=Uid(f"s{i}"))
        watch = store.watch(["nodes", "pods"], since=start)
        changes = read(watch).changes
        assert [change.record.uid for change in changes] == ["p0", "n0", "p1", "n1", "p2", "n2", "p3", "n3"]
        watch.close()

    async def test_a_watch_reads_in_bounded_batches_without_gaps(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(watch_batch=3)
        store = await lab.open()
        start = store.revision
        for i in range(5):
            await store.create(ObjectKey("pods", "d", str(i)), tail(str(i)), uid=Uid(f"p{i}"))
            await store.create(ObjectKey("nodes", "", str(i)), tail(str(i)), uid=Uid(f"n{i}"))
        watch = store.watch(["nodes", "pods"], since=start)
        seen: list[str] = []
        while len(seen) < 10:
            progress = read(watch)
            assert 0 < len(progress.changes) <= 3
            seen.extend(change.record.uid for change in progress.changes)
            assert progress.revision == (store.revision if len(seen) == 10 else progress.changes[-1].revision)
        assert seen == [f"{kind}{i}" for i in range(5) for kind in "pn"]
        watch.close()
        await store.close()

    async def test_a_watch_of_a_namespace_sees_only_that(self, store: Store) -> None:
        watch = store.watch(["pods"], since=store.revision, namespace="mine")
        await store.create(POD, tail(), uid=Uid("u1"))
        await store.create(ObjectKey("pods", "mine", "a"), tail("a"), uid=Uid("u2"))
        assert [change.record.uid for change in read(watch).changes] == ["u2"]
        watch.close()

    async def test_a_watch_since_a_compacted_or_unknown_revision_is_gone(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(history_changes=8)
        store = await lab.open()
        first = await store.create(POD, tail(), uid=Uid("u1"))
        lagging = store.watch(["pods"], since=first.revision)
        for i in range(20):
            await store.update(POD, tail(i=i))
        late = store.watch(["pods"], since=first.revision)
        unknown = store.watch(["pods"], since=Revision(store.revision + 1))
        for watch in (lagging, late, unknown):
            with pytest.raises(Gone):
                await anext(aiter(watch))
        await store.close()

    async def test_traffic_of_another_resource_compacts_nothing_of_this_one(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(history_changes=8)
        store = await lab.open()
        await store.create(LEASE, tail("edge-1"), uid=Uid("l"))
        watch = store.watch(["pods"], since=store.revision)
        await store.create(POD, tail(), uid=Uid("u1"))
        for i in range(50):
            await store.update(LEASE, tail("edge-1", i=i), volatile=True)
        assert [change.record.uid for change in read(watch).changes] == ["u1"]
        watch.close()
        await store.close()

    async def test_a_bookmark_tells_how_far_the_watch_is(self, store: Store) -> None:
        watch = store.watch(["pods"], since=store.revision, bookmark_s=0.0)
        await store.create(NODE, tail("edge-1"), uid=Uid("n"))
        assert read(watch) == Progress((), store.revision)
        watch.close()

    async def test_closing_a_watch_ends_its_iteration(self, store: Store) -> None:
        watch = store.watch(["pods"], since=store.revision)
        waiting = asyncio.ensure_future(anext(aiter(watch), None))
        await asyncio.sleep(0)
        watch.close()
        assert await waiting is None

    async def test_concurrent_writers_make_one_gapless_order(self, lab: StoreLab) -> None:
        lab.settings = StoreSettings(max_group=7)
        store = await lab.open()
        watch = store.watch(["pods"], since=store.revision)

        async def work(worker: int) -> None:
            for i in range(12):
                key = ObjectKey("pods", "d", str((worker * 5 + i) % 9))
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
        assert sorted(replayed.values(), key=lambda record: record.key) == (await store.list("pods")).records
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
        assert (store.revision, store.incarnation) == (revision, incarnation)
        assert (await store.list("pods")).records == [updated]
        fresh = await store.create(POD, tail(), uid=Uid("u3"))
        assert fresh.revision > revision > created.revision
        await store.close()

    async def test_after_a_restart_a_watch_goes_on_only_from_the_newest_revision(self, lab: StoreLab) -> None:
        store = await lab.open()
        created = await store.create(POD, tail(), uid=Uid("u1"))
        await store.update(POD, tail(a=1))
        store = await lab.reopen(store)
        older = store.watch(["pods"], since=created.revision)
        with pytest.raises(Gone):
            await anext(aiter(older))
        newest = store.watch(["pods"], since=store.revision)
        await store.delete(POD)
        assert [change.type for change in read(newest).changes] == [ChangeType.DELETED]
        newest.close()
        await store.close()

    async def test_a_crash_loses_nothing_acknowledged_and_repeats_no_revision(self, lab: StoreLab) -> None:
        store = await lab.open()
        incarnation = store.incarnation
        issued: list[int] = []
        for turn in range(3):
            key = ObjectKey("pods", "d", str(turn))
            issued.append((await store.create(key, tail(str(turn)), uid=Uid(str(turn)))).revision)
            issued.append((await store.update(key, tail(str(turn), a=1), volatile=True)).revision)
            issued.append(await store.reserve())
            store = await lab.crash(store)
            assert store.revision >= issued[-1]
        assert issued == sorted(set(issued))
        assert store.incarnation == incarnation
        assert [record.uid for record in (await store.list("pods")).records] == ["0", "1", "2"]
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
        assert await store.get(LEASE) in (created, renewed)
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
        assert await store.get(LEASE) == renewed
        with pytest.raises(NotFound):
            await store.get(POD)
        await store.close()

    async def test_a_failed_group_fails_whole_and_never_shows(self, lab: StoreLab) -> None:
        store = await lab.open()
        created = await store.create(POD, tail(), uid=Uid("u1"))
        watch = store.watch(["pods", "nodes"], since=store.revision)
        lab.break_disk()
        assert store.trouble == ""
        results = await outcomes(
            store.update(POD, tail(a=1)),
            store.create(NODE, tail("edge-1"), uid=Uid("n")),
            store.create(POD, tail(), uid=Uid("u2")),
        )
        assert [type(result) for result in results] == [StorageUnavailable] * 3
        assert await store.get(POD) == created
        assert (await store.list("nodes")).records == []
        assert "disk failed" in store.trouble
        lab.mend_disk()
        updated = await store.update(POD, tail(a=2), expected=created.revision)
        assert store.trouble == ""
        assert list(read(watch).changes) == [Change(ChangeType.MODIFIED, updated, created)]
        watch.close()
        store = await lab.crash(store)
        assert (await store.list("pods")).records == [updated]
        assert (await store.list("nodes")).records == []
        await store.close()

    async def test_heartbeats_go_on_while_the_disk_is_broken(self, lab: StoreLab) -> None:
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
        watch = store.watch(["nodes"], since=store.revision)
        waiting = asyncio.ensure_future(anext(aiter(watch), None))
        queued = asyncio.ensure_future(store.create(POD, tail(), uid=Uid("u1")))
        await asyncio.sleep(0)
        reopened = await lab.reopen(store)
        assert await waiting is None
        assert await reopened.get(POD) == await queued
        with pytest.raises(StorageUnavailable):
            await store.create(OTHER, tail("other"), uid=Uid("u2"))
        await store.close()
        await reopened.close()
