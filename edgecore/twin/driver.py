"""Keeps the twins of this node: takes what the cloud desires and what the bus brings, to disk, and tells the cloud.

Concurrency contract. Everything runs on the event loop; only the disk's writes are in a thread, one at a time under
``_writing``, which is held from drafting a change until it has come true: changes happen one after another, on disk
first. ``run`` owns three tasks: one takes the cloud's changes, one tells the newest state of each device (at most once
a second each, whatever happens in between), one sends the log of reports in order while the cloud can be asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

import structlog

from edgecore.meta.base import Applied, Desired, StorageUnavailable
from edgecore.twin.book import Book, Changed, Device, DeviceName, Draft
from edgecore.twin.model import Twin, acknowledged, shaped
from edgecore.twin.shape import shape_of
from edgecore.twin.status import edge_versions, status_of
from edgecore.twin.store import TwinStore
from protocol.objects.devices import DEVICE_MODELS, DEVICES, Report, model_of
from protocol.objects.keys import Body, ObjectKey, Uid

log = structlog.get_logger("edgecore.twin")

T = TypeVar("T")

TELL_EVERY_S: Final = 1.0
"""A device's state is told at most so often."""

RETRY_S: Final = 5.0
"""Pause after a disk or a cloud that takes nothing."""

BATCH: Final = 500
"""Reports in one command."""


class DeviceReports(Protocol):
    """Where a device's newest state is left for the cloud."""

    async def device_status(self, device: ObjectKey, uid: Uid, status: Body) -> None:
        """Report a device's status; only the newest is kept."""

    def on_device_acknowledged(self, listener: Callable[[ObjectKey, Body], None]) -> None:
        """Call ``listener`` with each Device and status that the cloud has acknowledged."""


SendReports = Callable[[Sequence[Report], str], Coroutine[Any, Any, bool]]
"""Sends reports up, under an id that a repeat has too; True once the cloud has settled them, False for later."""


class TwinDriver:
    """The twins of this node. A :class:`~edgecore.meta.base.Subscriber` of the meta store.

    Args:
        desired: What the cloud wants.
        reports: Where states go.
        disk: Where twins are kept; ``run`` closes it.
        send: Sends the log of reports; None where there is nobody to send it to.
        wall: Returns seconds since the epoch.

    Attributes:
        book: The devices.
    """

    def __init__(
        self,
        desired: Desired,
        reports: DeviceReports,
        disk: TwinStore,
        *,
        send: SendReports | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._desired = desired
        self._reports = reports
        self._disk = disk
        self._send = send
        self._wall = wall
        self._writing = asyncio.Lock()
        self._stale: set[DeviceName] = set()
        self._acknowledged: dict[DeviceName, tuple[Uid, dict[str, int]]] = {}
        self._wake_taking = asyncio.Event()
        self._wake_telling = asyncio.Event()
        self._wake_sending = asyncio.Event()
        self._reachable = asyncio.Event()
        self._untold: set[DeviceName] = set()
        self._told_at: dict[DeviceName, float] = {}
        self._listeners: list[Callable[[Sequence[Changed]], None]] = []
        self.book = Book()
        self._left = disk.load()  # twins of an earlier life; of what is no device here they are all there is
        reports.on_device_acknowledged(self._take_acknowledged)
        self._begin()

    def now_ms(self) -> int:
        """Return milliseconds since the epoch."""
        return int(self._wall() * 1000)

    def reachable(self) -> None:
        """Send what waits: there is a cloud to take it."""
        self._reachable.set()

    def on_change(self, listener: Callable[[Sequence[Changed]], None]) -> None:
        """Call ``listener`` on the loop with each change that the cloud has made, once it is on disk."""
        self._listeners.append(listener)

    @property
    def counts(self) -> dict[str, int]:
        """How many devices there are, and reports that wait for the cloud or were dropped."""
        disk = self._disk
        return {"devices": len(self.book), "reportsUnsent": disk.last - disk.sent, "reportsDropped": disk.dropped}

    # What the cloud wants: Subscriber

    def applied(self, changes: Sequence[Applied]) -> None:
        """Take note of Devices and DeviceModels that have come, changed or gone."""
        for change in changes:
            if change.key.resource == DEVICES:
                self._stale.add(DeviceName(change.key.namespace, change.key.name))
            elif change.key.resource == DEVICE_MODELS:
                self._stale.update(self._of_model(change.key))
        if self._stale:
            self._wake_taking.set()

    def completed(self) -> None:
        """Take note that all that is wanted is known: what else there was on disk may go."""
        self._stale.update(name for name, _ in self.book.devices())
        self._wake_taking.set()

    def _of_model(self, model: ObjectKey) -> Iterable[DeviceName]:
        for held in self._desired.list(DEVICES):
            if held.key.namespace == model.namespace and model_of(held.body) == model.name:
                yield DeviceName(held.key.namespace, held.key.name)

    def _begin(self) -> None:
        """Take up the twins as an earlier life has left them, with what is held of their devices."""
        draft = Draft(self.book)
        for held in self._desired.list(DEVICES):
            name = DeviceName(held.key.namespace, held.key.name)
            self._stale.add(name)
            twin = self._left.get(name)
            device = None if twin is None else self._described(name, twin)
            if twin is not None and device is not None and device.twin.uid == twin.uid:
                # As it lies on disk: what the cloud has written since is taken, and told, with the first round.
                draft.put(name, replace(device, twin=twin))
                self._untold.add(name)
        self.book.take(draft)
        self._stale.update(self._left)
        self._wake_taking.set()
        self._wake_telling.set()
        self._wake_sending.set()

    def _described(self, name: DeviceName, twin: Twin | None) -> Device | None:
        """Return a device as the cloud now describes it; None where it is not of this node."""
        held = self._desired.get(ObjectKey(DEVICES, *name))
        if held is None:
            return None
        model = self._desired.get(ObjectKey(DEVICE_MODELS, name.namespace, model_of(held.body)))
        shape = shape_of(held.body, None if model is None else model.body)
        return Device(shape, shaped(twin, shape, self.now_ms()))

    # Changes, from either side

    async def perform(self, work: Callable[[Draft], T]) -> T:
        """Have ``work`` draft changes, and make them once they are on disk.

        Args:
            work: Changes the draft it is given, and nothing else; must not block.

        Raises:
            StorageUnavailable: The disk does not take them, and nothing has changed.
        """
        async with self._writing:
            draft = Draft(self.book)
            result = work(draft)
            if not draft.empty:
                await self._commit(draft)
            return result

    async def _commit(self, draft: Draft) -> list[Changed]:
        await asyncio.to_thread(self._disk.commit, draft)
        changes = self.book.take(draft)
        self._untold.update(change.name for change in changes if change.after is not None)
        if changes:
            self._wake_telling.set()
        if draft.reports:
            self._wake_sending.set()
        return changes

    async def run(self) -> None:
        """Keep the twins. Never returns; cancelling it is safe at any point."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_changes(), name="twins-from-cloud")
                tasks.create_task(self._tell(), name="twins-to-cloud")
                if self._send is not None:
                    tasks.create_task(self._send_reports(self._send), name="device-reports")
        finally:
            async with self._writing:
                self._disk.close()

    async def _take_changes(self) -> None:
        while True:
            await self._wake_taking.wait()
            self._wake_taking.clear()
            stale, self._stale = self._stale, set()
            settled, self._acknowledged = self._acknowledged, {}
            try:
                async with self._writing:
                    draft = Draft(self.book)
                    self._draft_acknowledged(draft, settled)
                    self._draft_described(draft, stale)
                    changes = [] if draft.empty else await self._commit(draft)
            except StorageUnavailable as error:
                log.warning("twins put off", cause=str(error), devices=len(stale))
                self._stale |= stale
                self._acknowledged = {**settled, **self._acknowledged}
                self._wake_taking.set()
                await asyncio.sleep(RETRY_S)
                continue
            for name in draft.overlay:
                self._left.pop(name, None)
            told = [change for change in changes if change.name in stale]
            for listener in self._listeners if told else ():
                listener(told)

    def _draft_described(self, draft: Draft, stale: Iterable[DeviceName]) -> None:
        for name in stale:
            before = draft.get(name)
            after = self._described(name, self._left.get(name) if before is None else before.twin)
            if after is None and not self._desired.complete:
                continue  # a database made anew: the device may well be wanted
            if after != before or after is None:
                draft.put(name, after)

    def _draft_acknowledged(self, draft: Draft, settled: dict[DeviceName, tuple[Uid, dict[str, int]]]) -> None:
        for name, (uid, versions) in settled.items():
            device = draft.get(name)
            if device is None or device.twin.uid != uid:
                continue
            twin = acknowledged(device.twin, versions)
            if twin is not device.twin:
                draft.put(name, replace(device, twin=twin))

    # What the cloud is told

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake_telling.wait()
            self._wake_telling.clear()
            now = loop.time()
            due = [name for name in self._untold if self._told_at.get(name, -TELL_EVERY_S) + TELL_EVERY_S <= now]
            self._untold.difference_update(due)
            self._told_at.update(dict.fromkeys(due, now))
            await asyncio.gather(*(self._tell_one(name) for name in due))
            if self._untold:
                soonest = min(self._told_at.get(name, now) for name in self._untold) + TELL_EVERY_S
                loop.call_at(max(soonest, now), self._wake_telling.set)

    async def _tell_one(self, name: DeviceName) -> None:
        device = self.book.get(name)
        if device is None:
            self._told_at.pop(name, None)
            return
        status = status_of(device.twin, device.shape)
        await self._reports.device_status(ObjectKey(DEVICES, *name), device.twin.uid, status)

    def _take_acknowledged(self, device: ObjectKey, status: Body) -> None:
        name = DeviceName(device.namespace, device.name)
        known = self.book.get(name)
        versions = edge_versions(status)
        if known is None or not any(
            versions.get(each, 0) > value.acknowledged for each, value in known.twin.properties.items()
        ):
            return
        self._acknowledged[name] = (known.twin.uid, versions)
        self._wake_taking.set()

    async def _send_reports(self, send: SendReports) -> None:
        while True:
            await self._wake_sending.wait()
            self._wake_sending.clear()
            while reports := await self._unsent():
                if not await send(reports, f"{self._disk.origin:x}-{reports[0].number}-{reports[-1].number}"):
                    await self._pause()
                    continue
                try:
                    async with self._writing:
                        await asyncio.to_thread(self._disk.taken, reports[-1].number)
                except StorageUnavailable as error:  # they will be sent again: the cloud knows them by number
                    log.warning("reports taken by the cloud not noted", cause=str(error))
                    await asyncio.sleep(RETRY_S)

    async def _pause(self) -> None:
        """Wait until the cloud may take more."""
        self._reachable.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await self._reachable.wait()

    async def _unsent(self) -> Sequence[Report]:
        async with self._writing:
            return await asyncio.to_thread(self._disk.unsent, BATCH)
