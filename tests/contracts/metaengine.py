"""What every engine of the meta store must do, seen through the store that stands on it.

An engine's tests subclass :class:`MetaStoreContract` and give it a ``lab`` fixture.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest

from edgecore.meta.base import Applied, StorageUnavailable
from edgecore.meta.batch import LEDGER_LIMIT
from edgecore.meta.engine import Engine
from edgecore.meta.store import MetaStore, StaleEpoch
from edgecore.meta.upstream import EVENTS_LIMIT
from protocol.digest import Digest
from protocol.messages import APPLIED, LATER, Item, Op, Outcome, Verdict
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid
from protocol.settings import MAX_WINDOW_ITEMS
from tests.support.slices import delete, put, resumed

WEB = ObjectKey("pods", "default", "web")
WEB_STATUS = ObjectKey("pods/status", "default", "web")


class MetaLab(ABC):
    """Opens, crashes and breaks engines on one disk."""

    def __init__(self) -> None:
        self.opened: list[Engine] = []

    @abstractmethod
    def engine(self) -> Engine:
        """Open an engine on the disk."""

    @abstractmethod
    async def crash(self) -> None:
        """End the newest engine as a power cut would."""

    @abstractmethod
    def fill_disk(self) -> None:
        """Make every write fail."""

    @abstractmethod
    def free_disk(self) -> None:
        """Make room again."""

    def store(self) -> MetaStore:
        engine = self.engine()
        self.opened.append(engine)
        return MetaStore(engine, NodeName("edge-1"))

    async def restart(self, store: MetaStore) -> MetaStore:
        await store.close()
        return self.store()

    async def close(self) -> None:
        for engine in self.opened:
            await engine.close()


class Listener:
    """A subscriber that keeps what it hears."""

    def __init__(self) -> None:
        self.changes: list[Applied] = []
        self.completions = 0

    def applied(self, changes: Sequence[Applied]) -> None:
        self.changes += changes

    def completed(self) -> None:
        self.completions += 1


async def session(store: MetaStore, epoch: int = 1, *, incarnation: str = "inc-1", equal: bool = False) -> None:
    await store.begin_session(epoch, incarnation, equal=equal)


class MetaStoreContract:
    # Desired state

    async def test_what_was_applied_is_there_after_a_restart(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        assert await store.apply([put("web", 5), put("conf", 6, resource="configmaps")], 1) == [APPLIED, APPLIED]
        store = await lab.restart(store)
        held = store.get(WEB)
        assert held is not None
        assert (held.uid, held.version, held.body["metadata"]["name"]) == ("uid-web", 5, "web")
        assert [each.key.name for each in store.list("configmaps")] == ["conf"]
        assert (store.epoch, store.incarnation, store.count) == (1, "inc-1", 2)

    async def test_what_was_acknowledged_survives_a_crash(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await lab.crash()
        assert lab.store().get(WEB) is not None

    async def test_a_delete_survives_a_crash(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.apply([delete("web")], 1)
        await lab.crash()
        assert lab.store().get(WEB) is None

    async def test_a_delete_of_another_uid_touches_nothing(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5, uid="new")], 1)
        assert await store.apply([delete("web", uid="old")], 1) == [APPLIED]
        assert store.get(WEB) is not None

    async def test_a_new_uid_replaces_the_old_and_is_told_as_one_change(self, lab: MetaLab) -> None:
        store, listener = lab.store(), Listener()
        store.subscribe(listener)
        await session(store)
        await store.apply([put("web", 5, uid="old")], 1)
        listener.changes.clear()
        await store.apply([delete("web", uid="old"), put("web", 7, uid="new")], 1)
        (change,) = listener.changes
        assert change.previous is not None
        assert change.held is not None
        assert (change.previous.uid, change.held.uid) == ("old", "new")

    async def test_an_overtaken_version_is_left(self, lab: MetaLab) -> None:
        store, listener = lab.store(), Listener()
        await session(store)
        await store.apply([put("web", 5)], 1)
        store.subscribe(listener)
        assert await store.apply([put("web", 4), put("web", 5)], 1) == [APPLIED, APPLIED]
        assert listener.changes == []

    async def test_a_lower_version_of_a_new_incarnation_is_taken(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 50)], 1)
        await session(store, 2, incarnation="inc-2")
        await store.apply([put("web", 3)], 2)
        held = (await lab.restart(store)).get(WEB)
        assert held is not None
        assert held.version == 3

    async def test_a_poisonous_item_is_rejected_and_holds_up_nothing(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        poison = Item(Op.PUT, WEB, Uid("u"), Revision(9), b"\xc1")
        bad, good = await store.apply([poison, put("other", 5)], 1)
        assert (bad.outcome, bad.code) == (Outcome.REJECTED, "Undecodable")
        assert good == APPLIED
        assert store.get(WEB) is None

    async def test_subscribers_hear_only_what_is_on_disk(self, lab: MetaLab) -> None:
        store, listener = lab.store(), Listener()
        store.subscribe(listener)
        await session(store)
        lab.fill_disk()
        await store.apply([put("web", 5)], 1)
        assert listener.changes == []
        assert store.get(WEB) is None

    # Epochs

    async def test_an_older_epoch_cannot_apply(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store, 3)
        await session(store, 4)
        with pytest.raises(StaleEpoch):
            await store.apply([put("web", 5)], 3)
        assert store.get(WEB) is None

    async def test_an_older_epoch_cannot_begin_even_after_a_crash(self, lab: MetaLab) -> None:
        await session(lab.store(), 3)
        await lab.crash()
        with pytest.raises(StaleEpoch):
            await session(lab.store(), 3)

    # Completeness

    async def test_a_new_store_is_not_complete_until_the_cloud_says_so(self, lab: MetaLab) -> None:
        store, listener = lab.store(), Listener()
        store.subscribe(listener)
        await session(store)
        await store.apply([put("web", 5)], 1)
        before = store.complete
        await store.apply([resumed()], 1)
        assert (before, store.complete) == (False, True)
        assert listener.completions == 1
        assert (await lab.restart(store)).complete

    async def test_equal_digests_make_it_complete(self, lab: MetaLab) -> None:
        store, listener = lab.store(), Listener()
        store.subscribe(listener)
        await session(store, equal=True)
        assert store.complete
        assert listener.completions == 1

    async def test_it_is_not_complete_while_an_item_is_put_off(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        lab.fill_disk()
        assert await store.apply([put("web", 5)], 1) == [LATER]
        lab.free_disk()
        assert await store.apply([resumed()], 1) == [LATER]
        assert await store.apply([put("web", 5), resumed()], 1) == [APPLIED, LATER]
        assert await store.apply([resumed()], 1) == [APPLIED]
        assert store.complete

    # Digest and inventory

    async def test_the_digest_is_that_of_the_inventory_at_every_step(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        for items in ([put("a", 1), put("b", 2)], [put("a", 3)], [delete("b")], [put("a", 4, uid="other")]):
            await store.apply(items, 1)
            assert store.digest == Digest("inc-1", store.inventory()).value
        digest = store.digest
        assert (await lab.restart(store)).digest == digest

    async def test_versions_of_an_earlier_incarnation_are_not_vouched_for(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await session(store, 2, incarnation="inc-2")
        assert [entry.version for entry in store.inventory()] == [0]
        assert store.digest == Digest("inc-2", store.inventory()).value

    # Commands

    async def test_a_repeated_command_gets_the_first_answer_also_after_a_restart(self, lab: MetaLab) -> None:
        command = Item(Op.COMMAND, ObjectKey("frobnicate", "", "x"), Uid(""), Revision(0), b"\x80", "id-1")
        store = lab.store()
        await session(store)
        (first,) = await store.apply([command], 1)
        assert first.code == "UnknownCommand"
        store = await lab.restart(store)
        await session(store, 2)
        assert await store.apply([command], 2) == [first]

    async def test_the_ledger_is_bounded(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([resumed(f"id-{n}") for n in range(LEDGER_LIMIT + 10)], 1)
        await store.apply([resumed("one-more")], 1)
        await store.close()
        kept = [row.id for row in lab.engine().load().settled]
        assert len(kept) == LEDGER_LIMIT
        assert kept[-1] == "one-more"

    async def test_a_whole_window_of_commands_whose_acks_were_lost_is_answered_as_before(self, lab: MetaLab) -> None:
        commands = [
            Item(Op.COMMAND, ObjectKey("frobnicate", "", f"{n}"), Uid(""), Revision(0), b"\x80", f"id-{n}")
            for n in range(MAX_WINDOW_ITEMS)
        ]
        store = lab.store()
        await session(store)
        first = [
            verdict for at in range(0, len(commands), 512) for verdict in await store.apply(commands[at:][:512], 1)
        ]
        store = await lab.restart(store)
        await session(store, 2)
        again = [item._replace(key=ObjectKey("other", "", "x")) for item in commands]  # the id alone tells a repeat
        assert await store.apply(again, 2) == first

    # Reports

    async def test_a_report_is_owed_until_it_is_acknowledged(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.pod_status("default", "web", Uid("uid-web"), {"phase": "Running"})
        store = await lab.restart(store)
        (owed,) = store.owed()
        assert owed.key == WEB_STATUS
        store.acknowledged(owed.key, owed.generation, APPLIED)
        assert store.owed() == []
        assert (await lab.restart(store)).owed() == []

    async def test_only_the_newest_report_is_kept(self, lab: MetaLab) -> None:
        store = lab.store()
        for phase in ("Pending", "Running", "Failed"):
            await store.pod_status("default", "web", Uid("u"), {"phase": phase})
        (owed,) = (await lab.restart(store)).owed()
        assert b"Failed" in owed.body

    async def test_a_late_acknowledgement_does_not_settle_a_newer_report(self, lab: MetaLab) -> None:
        store = lab.store()
        await store.pod_status("default", "web", Uid("u"), {"phase": "Pending"})
        (old,) = store.owed()
        await store.pod_status("default", "web", Uid("u"), {"phase": "Running"})
        store.acknowledged(old.key, old.generation, APPLIED)
        assert len(store.owed()) == 1

    async def test_generations_are_never_issued_twice(self, lab: MetaLab) -> None:
        store = lab.store()
        await store.pod_status("default", "web", Uid("u"), {"phase": "Pending"})
        (old,) = store.owed()
        store.acknowledged(old.key, old.generation, Verdict.rejected("NotFound", "gone"))
        store = await lab.restart(store)
        await store.pod_status("default", "web", Uid("u"), {"phase": "Running"})
        assert store.owed()[0].generation > old.generation

    async def test_the_same_status_again_is_not_owed_again(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.pod_status("default", "web", Uid("uid-web"), {"phase": "Running"})
        (owed,) = store.owed()
        store.acknowledged(owed.key, owed.generation, APPLIED)
        await store.pod_status("default", "web", Uid("uid-web"), {"phase": "Running"})
        assert store.owed() == []
        store.restate()
        assert len(store.owed()) == 1

    async def test_a_new_incarnation_is_told_everything_again(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.node_status({"capacity": {}})
        (owed,) = store.owed()
        store.acknowledged(owed.key, owed.generation, APPLIED)
        assert store.owed() == []
        await session(store, 2, incarnation="inc-2")
        assert [row.key.resource for row in store.owed()] == ["nodes/status"]

    async def test_a_restored_cloud_hears_again_that_a_pod_has_finished(self, lab: MetaLab) -> None:
        """The first cloud had removed the pod and was rolled back before its delete arrived here."""
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.pod_finished("default", "web", Uid("uid-web"))
        (owed,) = store.owed()
        store.acknowledged(owed.key, owed.generation, APPLIED)
        assert store.owed() == []
        store = await lab.restart(store)
        await session(store, 2, incarnation="inc-2")
        assert [row.key.resource for row in store.owed()] == ["pods"]

    async def test_a_refused_end_can_be_told_anew(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.pod_finished("default", "web", Uid("uid-web"))
        (owed,) = store.owed()
        store.acknowledged(owed.key, owed.generation, Verdict.rejected("Forbidden", "it is not being deleted"))
        assert store.owed() == []
        await store.pod_finished("default", "web", Uid("uid-web"))
        assert len(store.owed()) == 1

    async def test_reports_about_a_pod_go_with_it(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.pod_status("default", "web", Uid("uid-web"), {"phase": "Running"})
        await store.pod_finished("default", "web", Uid("uid-web"))
        await store.apply([delete("web")], 1)
        assert store.owed() == []
        assert (await lab.restart(store)).owed() == []

    async def test_a_late_report_about_a_pod_does_not_push_out_its_successors(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.apply([put("web", 6, uid="uid-2")], 1)
        await store.pod_status("default", "web", Uid("uid-2"), {"phase": "Running"})
        await store.pod_status("default", "web", Uid("uid-web"), {"phase": "Failed"})
        await store.pod_finished("default", "web", Uid("uid-web"))
        (owed,) = store.owed()
        assert owed.key == WEB_STATUS
        assert b"Running" in owed.body

    async def test_a_report_that_came_after_its_pod_had_left_goes_with_the_next_of_the_name(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.apply([delete("web")], 1)
        await store.pod_status("default", "web", Uid("uid-web"), {"phase": "Failed"})
        await store.apply([put("web", 6, uid="uid-2")], 1)
        assert store.owed() == []
        assert (await lab.restart(store)).owed() == []

    async def test_an_acknowledgement_brings_no_report_back_whose_pod_has_left(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.pod_status("default", "web", Uid("uid-web"), {"phase": "Running"})
        (owed,) = store.owed()
        store.acknowledged(owed.key, owed.generation, APPLIED)  # it waits in memory for the next write
        await store.apply([delete("web")], 1)
        store = await lab.restart(store)
        store.restate()
        assert store.owed() == []

    async def test_a_report_is_dropped_also_where_the_disk_took_the_pods_removal_at_the_second_try(
        self, lab: MetaLab
    ) -> None:
        store = lab.store()
        await session(store)
        await store.apply([put("web", 5)], 1)
        await store.pod_status("default", "web", Uid("uid-web"), {"phase": "Running"})
        lab.fill_disk()
        assert await store.apply([delete("web")], 1) == [LATER]
        lab.free_disk()
        assert await store.apply([delete("web")], 1) == [APPLIED]
        store = await lab.restart(store)
        assert store.owed() == []

    async def test_the_listener_hears_of_a_report_once_it_is_on_disk(self, lab: MetaLab) -> None:
        store = lab.store()
        heard: list[ObjectKey] = []
        store.on_owed(lambda rows: heard.extend(row.key for row in rows))
        await store.pod_finished("default", "web", Uid("u"))
        assert heard == [ObjectKey("pods", "default", "web")]

    async def test_events_beyond_the_bound_push_out_the_oldest(self, lab: MetaLab) -> None:
        store = lab.store()
        names = [f"event-{number:05}" for number in range(EVENTS_LIMIT + 3)]
        await asyncio.gather(*(store.event({"metadata": {"name": name, "namespace": "default"}}) for name in names))
        assert store.events_dropped == 3
        store = await lab.restart(store)
        assert [row.key.name for row in store.owed()] == names[3:]

    # A full disk

    async def test_a_full_disk_applies_nothing_and_says_later(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        lab.fill_disk()
        assert await store.apply([put("web", 5), put("other", 6)], 1) == [LATER, LATER]
        lab.free_disk()
        assert await store.apply([put("web", 5)], 1) == [APPLIED]
        store = await lab.restart(store)
        assert [held.key.name for held in store.list("pods")] == ["web"]

    async def test_a_full_disk_refuses_a_new_epoch_but_remembers_it(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store, 1)
        lab.fill_disk()
        with pytest.raises(StorageUnavailable):
            await session(store, 2)
        assert store.epoch == 2
        lab.free_disk()
        await session(store, 2)
        assert await store.apply([put("web", 5)], 2) == [APPLIED]

    async def test_reports_outlast_a_full_disk(self, lab: MetaLab) -> None:
        store = lab.store()
        await store.event({"metadata": {"name": "first", "namespace": "default"}})
        lab.fill_disk()
        await store.pod_status("default", "web", Uid("u"), {"phase": "Running"})
        assert len(store.owed()) == 2
        lab.free_disk()
        await store.pod_status("default", "other", Uid("v"), {"phase": "Running"})
        store = await lab.restart(store)
        assert {row.key.name for row in store.owed()} == {"first", "web", "other"}

    async def test_commits_asked_for_together_all_arrive(self, lab: MetaLab) -> None:
        store = lab.store()
        await session(store)
        await asyncio.gather(
            store.apply([put(f"pod-{n}", n + 1) for n in range(50)], 1),
            *(store.pod_status("default", f"pod-{n}", Uid(f"uid-pod-{n}"), {"n": n}) for n in range(50)),
        )
        store = await lab.restart(store)
        assert (store.count, len(store.owed())) == (50, 50)

    async def test_closing_twice_is_harmless(self, lab: MetaLab) -> None:
        store = lab.store()
        await store.close()
        await store.close()
