"""The meta store: the one authority at the edge. Desired state comes down into it, observed state goes up from it.

Concurrency contract: everything runs on one event loop; only the engine may have a thread. The writer's ``applying``
is held from deciding on a batch until its commit has settled, so that a batch is judged against what is on disk and
an older epoch can neither apply nor overtake. Memory changes only after a commit, except for reports: those are
kept, and sent, also while the disk takes no writes (``run`` tries again).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import msgpack
import structlog

from edgecore.meta.base import Applied, Held, StorageUnavailable, Subscriber
from edgecore.meta.batch import LEDGER_LIMIT, Batch
from edgecore.meta.engine import (
    Change,
    DropReport,
    Engine,
    EventRow,
    FactRow,
    ObjectRow,
    ReportRow,
    Snapshot,
)
from edgecore.meta.slice import Slice
from edgecore.meta.upstream import POD_FINISHED, Owed, Upstream
from edgecore.meta.writer import Writer
from protocol.digest import Digest
from protocol.errors import AiokubeedgeError
from protocol.messages import LATER, InventoryEntry, Item, Outcome, Verdict
from protocol.objects.devices import DEVICE_STATUS, DEVICES
from protocol.objects.keys import Body, NodeName, ObjectKey, Revision, Uid
from protocol.objects.resources import EVENTS, NODE_STATUS, POD_STATUS, PODS

log = structlog.get_logger("edgecore.meta")


class StaleEpoch(AiokubeedgeError):
    """A session that a newer one has replaced tried to apply."""


class MetaStore:
    """Implements :class:`~edgecore.meta.base.Desired` and :class:`~edgecore.meta.base.Reports` over an engine.

    Args:
        engine: Where rows are kept. The store owns it: ``close`` closes it.
        node: This node's name.
    """

    def __init__(self, engine: Engine, node: NodeName) -> None:
        self._node = node
        self._writer = Writer(engine, self._reloaded)
        self._subscribers: list[Subscriber] = []
        self._on_owed: Callable[[Sequence[Owed]], None] | None = None
        self._put_off: set[ObjectKey] = set()
        self._on_status: Callable[[ObjectKey], None] = lambda _: None
        self._on_device: Callable[[ObjectKey, Body], None] = lambda *_: None
        self.static_uid: Callable[[ObjectKey], Uid | None] = lambda _: None
        """Returns the uid of the static pod of a name: its reports are kept though no object of that uid is held."""
        snapshot = engine.load()
        self._take(snapshot)
        # Each life issues generations from a block of its own, so that none is ever issued twice.
        self.life = int(snapshot.facts.get("life", "0")) + 1
        """How many times this database has been opened; on disk with the first thing that is written."""
        self._upstream = Upstream(snapshot.reports, snapshot.events, self.life << 32)
        self._writer.keep([FactRow("life", str(self.life))])

    def _take(self, snapshot: Snapshot) -> None:
        facts = snapshot.facts
        self._epoch = self._epoch_seen = int(facts.get("epoch", "0"))
        self._incarnation = facts.get("incarnation", "")
        self._line = int(facts.get("line", "0"))
        self._complete = facts.get("complete", "") == "yes"
        self._slice = Slice(snapshot.objects)
        self._digest = Digest(self._incarnation, self.inventory())
        self._settled = OrderedDict((row.id, row) for row in snapshot.settled)

    # Reads: Desired

    @property
    def complete(self) -> bool:
        """Whether this database has been in step with the cloud at least once."""
        return self._complete

    def get(self, key: ObjectKey) -> Held | None:
        """Return the object, or None where this node does not hold it (yet)."""
        return self._slice.get(key)

    def list(self, resource: str) -> Sequence[Held]:
        """Return all held objects of ``resource``."""
        return self._slice.list(resource)

    def count_of(self, resource: str) -> int:
        """Return how many objects of ``resource`` are held."""
        return self._slice.count_of(resource)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell ``subscriber`` of every change committed from now on."""
        self._subscribers.append(subscriber)

    # What a session needs to introduce itself

    @property
    def epoch(self) -> int:
        """The newest session epoch this node knows of; 0 before the first session."""
        return max(self._epoch, self._epoch_seen)

    @property
    def incarnation(self) -> str:
        """The cloud store's incarnation that the held versions belong to; empty before the first session."""
        return self._incarnation

    @property
    def digest(self) -> bytes:
        """Digest of what is held (:mod:`protocol.digest`)."""
        return self._digest.value

    @property
    def count(self) -> int:
        """How many objects are held."""
        return len(self._slice)

    @property
    def events_dropped(self) -> int:
        """Events dropped for want of room since the start."""
        return self._upstream.events_dropped

    def inventory(self) -> Iterator[InventoryEntry]:
        """Yield what is held. An object of an earlier line has version 0: it must be sent again."""
        return map(self._entry, self._slice)

    def _entry(self, row: ObjectRow) -> InventoryEntry:
        return InventoryEntry(row.key, row.uid, row.version if row.line == self._line else Revision(0))

    async def begin_session(self, epoch: int, incarnation: str, *, equal: bool) -> None:
        """Make ``epoch`` durable; from now on no older session can apply.

        Args:
            epoch: The session's epoch, as the cloud issued it.
            incarnation: The cloud store's incarnation.
            equal: True where the cloud has found both holdings equal.

        Raises:
            StaleEpoch: A session with this epoch or a newer one has been here.
            StorageUnavailable: The disk does not take it; the session must not go on.
        """
        async with self._writer.applying:
            if epoch <= self._epoch:
                raise StaleEpoch(f"epoch {epoch} is not newer than {self._epoch}")
            self._epoch_seen = epoch  # known even where the disk does not take it
            new_line = incarnation != self._incarnation
            line = self._line + 1 if new_line else self._line
            changes: list[Change] = [FactRow("epoch", str(epoch))]
            if new_line:
                changes += [FactRow("incarnation", incarnation), FactRow("line", str(line))]
                changes += self._upstream.owe_everything()
            if equal:
                changes.append(FactRow("complete", "yes"))
            await self._writer.commit(changes)
            self._epoch, self._incarnation, self._line = epoch, incarnation, line
            if new_line:
                self._digest = Digest(incarnation, self.inventory())
            self._put_off.clear()
            if equal:
                self._now_complete()

    # Writes from the cloud

    async def apply(self, items: Sequence[Item], epoch: int) -> Sequence[Verdict]:
        """Apply ``items`` in order in one commit and return a verdict for each, once it is on disk.

        While the disk takes no writes, nothing changes and every verdict is ``later``.

        Raises:
            StaleEpoch: A newer session has taken over; nothing was applied.
        """
        async with self._writer.applying:
            if epoch != self._epoch:
                raise StaleEpoch(f"epoch {epoch} may not apply, {self._epoch} is the newest")
            batch = Batch(self._slice, self._settled, line=self._line, may_complete=not self._put_off)
            verdicts = [batch.judge(item) for item in items]
            stale = list(self._stale_reports(batch))
            # Also where this commit fails, and instead of what may wait there to be written about the same report.
            self._writer.keep(stale)
            try:
                if changes := [*batch.changes(), *stale]:
                    await self._writer.commit(changes)
            except StorageUnavailable as error:
                log.warning("items put off", cause=str(error), items=len(items))
                self._put_off.update(item.key for item in items)
                return [LATER] * len(items)
            self._put_off.difference_update(
                item.key for item, verdict in zip(items, verdicts, strict=True) if verdict.outcome is not Outcome.LATER
            )
            self._show(batch)
            return verdicts

    def _stale_reports(self, batch: Batch) -> Iterator[DropReport]:
        """Drop the reports about pods and devices that this batch replaces or removes."""
        for key, row in batch.overlay.items():
            if key.resource == DEVICES:
                about = key._replace(resource=DEVICE_STATUS)
                yield from self._upstream.forget([about], but=row.uid if row else None)
            if key.resource == PODS:
                yield from self._upstream.forget_pods(key, but=self.static_uid(key) or (row.uid if row else None))

    def _show(self, batch: Batch) -> None:
        """Take a committed batch into memory and tell the subscribers."""
        applied = []
        for key, row in batch.overlay.items():
            before, old = self._slice.get(key), self._slice.row(key)
            if old is not None:
                self._digest.remove(self._entry(old))
                self._slice.drop(key)
            if row is not None:
                self._slice.put(row)
                self._digest.add(self._entry(row))
            if row is not None or before is not None:
                applied.append(Applied(key, self._slice.get(key), before))
        self._settled.update(batch.settled)
        while len(self._settled) > LEDGER_LIMIT:
            self._settled.popitem(last=False)
        if applied:
            for subscriber in self._subscribers:
                subscriber.applied(applied)
        if batch.completes:
            self._now_complete()

    def _now_complete(self) -> None:
        if not self._complete:
            self._complete = True
            for subscriber in self._subscribers:
                subscriber.completed()

    # Reports

    async def pod_status(self, namespace: str, name: str, uid: Uid, status: Body) -> None:
        """Report a pod's status."""
        await self._report(ObjectKey(POD_STATUS, namespace, name), uid, {"status": status})

    async def pod_finished(self, namespace: str, name: str, uid: Uid) -> None:
        """Report that a pod marked for deletion has stopped fully."""
        await self._report(ObjectKey(POD_FINISHED, namespace, name), uid, None)

    async def node_status(self, status: Body) -> None:
        """Report this node's status."""
        await self._report(ObjectKey(NODE_STATUS, "", self._node), Uid(""), {"status": status})

    async def device_status(self, device: ObjectKey, uid: Uid, status: Body) -> None:
        """Report a device's status."""
        await self._report(device._replace(resource=DEVICE_STATUS), uid, {"status": status})

    def on_device_acknowledged(self, listener: Callable[[ObjectKey, Body], None]) -> None:
        """Call ``listener`` on the loop with each Device and status that the cloud has acknowledged."""
        self._on_device = listener

    async def event(self, body: Body) -> None:
        """Queue a core/v1 Event."""
        metadata = body["metadata"]
        key = ObjectKey(EVENTS, metadata.get("namespace", ""), metadata["name"])
        changes = self._upstream.event(key, msgpack.packb(body))
        await self._save_and_tell(changes)

    async def _report(self, key: ObjectKey, uid: Uid, body: Body | None) -> None:
        if key.resource == DEVICE_STATUS and self._slice.get(key._replace(resource=DEVICES)) is None:
            return  # a device that has left while this was on its way
        if key.resource in (POD_STATUS, POD_FINISHED) and self._is_anothers(key, uid):
            return  # a pod that has left is still being cleared away: its report would push out its successor's
        row = self._upstream.report(key, uid, msgpack.packb(body) if body is not None else b"")
        if row is not None:
            self._on_status(key._replace(resource=key.resource.partition("/")[0]))
            await self._save_and_tell([row])

    def _is_anothers(self, about: ObjectKey, uid: Uid) -> bool:
        """Tell whether the pod's name is held by a pod of another uid, and the pod is no static one behind a mirror."""
        pod = about._replace(resource=PODS)
        row = self._slice.row(pod)
        return row is not None and row.uid != uid and self.static_uid(pod) != uid

    async def _save_and_tell(self, changes: Sequence[Change]) -> None:
        self._writer.keep(changes)
        await self._writer.save()
        owed = [change for change in changes if isinstance(change, ReportRow | EventRow)]
        still = [row for row in owed if self._upstream.get(row.key) is row]
        if self._on_owed is not None and still:
            self._on_owed(still)

    def owed(self) -> Sequence[Owed]:
        """Return what the cloud has yet to acknowledge, oldest first."""
        return list(self._upstream.owed())

    def last_node_status(self) -> Body:
        """Return the Node's status as it was last reported, also in an earlier life; empty if it never was."""
        row = self._upstream.get(ObjectKey(NODE_STATUS, "", self._node))
        return {} if row is None else decode_status(row.body)

    def status_of(self, key: ObjectKey, uid: Uid) -> Body:
        """Return the status last reported of a pod, or of this node; empty if none was.

        Args:
            key: The Pod or the Node.
            uid: The pod's uid: another's report is not about it.
        """
        row = self._upstream.get(key._replace(resource=f"{key.resource}/status"))
        if row is None or not row.body or (isinstance(row, ReportRow) and row.uid not in ("", uid)):
            return {}
        return decode_status(row.body)

    def on_status(self, listener: Callable[[ObjectKey], None]) -> None:
        """Call ``listener`` on the loop with each Pod or Node of which a new status is known, before it is on disk."""
        self._on_status = listener

    @property
    def problem(self) -> str:
        """Why the disk takes no writes; empty while it does, as far as is known."""
        return self._writer.problem

    async def save(self) -> None:
        """Write what waits in memory, as far as the disk takes it."""
        await self._writer.save()

    def on_owed(self, listener: Callable[[Sequence[Owed]], None] | None) -> None:
        """Call ``listener`` on the loop with each report or event once it is on disk (or can only be in memory)."""
        self._on_owed = listener

    def restate(self) -> None:
        """Owe every remembered report again, acknowledged or not; in memory only, the disk need not know."""
        self._upstream.owe_everything()

    def restate_pod(self, pod: ObjectKey) -> None:
        """Owe a pod's newest status again, in memory only: the cloud has come to know the pod after it was reported."""
        row = self._upstream.owe(pod._replace(resource=POD_STATUS))
        if row is not None and self._on_owed is not None:
            self._on_owed([row])

    def forget_pod(self, pod: ObjectKey) -> None:
        """Remember no report about a pod any longer, of which nothing is left and which the cloud does not know."""
        if self._slice.row(pod) is None:
            self._writer.keep(self._upstream.forget_pods(pod, but=None))
            self._writer.wake()

    def acknowledged(self, key: ObjectKey, generation: int, verdict: Verdict) -> None:
        """Take the cloud's verdict on one generation of a report; a newer generation stays owed.

        It reaches the disk with the next write, or within a few seconds: what is lost is only sent again.
        """
        if verdict.outcome is Outcome.LATER:
            return
        refused = verdict.outcome is Outcome.REJECTED
        if refused:
            log.warning("report refused by the cloud", object=str(key), code=verdict.code, cause=verdict.reason)
        # While the pod is held its end is remembered too: a cloud restored from a backup has to be told again.
        pod = key._replace(resource=PODS)
        about_pod = key.resource in (POD_STATUS, POD_FINISHED)
        pod_left = about_pod and self._slice.row(pod) is None
        # A static pod's status is remembered whatever the cloud says: its mirror comes and goes.
        stays = key.resource == POD_STATUS and self.static_uid(pod) is not None
        change = self._upstream.settled(key, generation, gone=(refused or pod_left) and not stays)
        if key.resource == DEVICE_STATUS:
            self._device_acknowledged(key._replace(resource=DEVICES), change)
        if change is not None:
            self._writer.keep([change])
            self._writer.wake()

    def _device_acknowledged(self, device: ObjectKey, change: Change | None) -> None:
        """Pass on what the cloud has acknowledged of a device; its report goes with the device."""
        if isinstance(change, ReportRow):
            self._on_device(device, decode_status(change.body))

    # Keeping up with the disk

    async def run(self) -> None:
        """Write what waits in memory, for as long as the store is open. Owned by the agent's task group."""
        await self._writer.run()

    async def close(self) -> None:
        """Write what waits in memory and close the engine. Idempotent."""
        await self._writer.close()

    def _reloaded(self, snapshot: Snapshot) -> Sequence[Change]:
        """Take over what lies on disk after a failed flush; fill a database that had to be made anew."""
        if snapshot.rebuilt:
            return self._everything()
        before, seen = self._slice, self.epoch
        self._take(snapshot)
        self._epoch_seen = max(seen, self._epoch)
        self._tell_difference(before)
        return ()

    def _everything(self) -> Sequence[Change]:
        """Return all that memory holds."""
        facts = {
            "epoch": str(self._epoch),
            "incarnation": self._incarnation,
            "line": str(self._line),
            "complete": "yes" if self._complete else "",
        }
        return [
            *self._slice,
            *self._settled.values(),
            *self._upstream.rows(),
            *(FactRow(name, value) for name, value in facts.items()),
        ]

    def _tell_difference(self, before: Slice) -> None:
        keys = {row.key for row in before} | {row.key for row in self._slice}
        changed = [key for key in keys if before.row(key) != self._slice.row(key)]
        applied = [Applied(key, self._slice.get(key), before.get(key)) for key in changed]
        if applied:
            for subscriber in self._subscribers:
                subscriber.applied(applied)


def decode_status(body: bytes) -> Body:
    """Return the status in a report's body."""
    status: Body = msgpack.unpackb(body, strict_map_key=False).get("status") or {}
    return status
