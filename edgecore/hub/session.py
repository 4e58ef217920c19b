"""One session with the cloud: applies batches to the meta store, sends what is owed and heartbeats.

Contract. Tasks, all in one group that ends with the session: the caller's own and the link driver's writer move frames;
*apply* is the only one that writes to the store, one commit for all batches that have gathered, and settles them
after it; *beat* sends heartbeats. The link's window bounds what can gather for *apply*. While the disk takes no
writes the session stays up: batches are answered ``later``, heartbeats and reports still go up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from edgecore.hub.owing import owe, take_verdicts
from edgecore.hub.requests import Requests
from edgecore.hub.traffic import TrafficAccount
from edgecore.meta.base import StorageUnavailable
from edgecore.meta.store import MetaStore, StaleEpoch
from edgecore.meta.upstream import Owed
from protocol.driver import LinkDriver
from protocol.events import Closed, Event, GoingAway, Received, Settled, WelcomeReceived
from protocol.frames import CloseCode
from protocol.heartbeat import HeartbeatEncoder, Load, digest_mark
from protocol.link import Link, Side
from protocol.measures import LinkMeasures
from protocol.messages import APPLIED, LATER, Hello, Item, Lane, Resume, Verdict, Welcome
from protocol.objects.devices import DEVICE_REPORTS
from protocol.objects.keys import NodeName
from protocol.objects.resources import ANSWER
from protocol.settings import LinkSettings
from protocol.transports.base import Connection

TRY_DISK_AGAIN_S = 5.0
"""How often a session that could not make its epoch durable tries again."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who this node says it is.

    Attributes:
        node: Its name.
        instance: Its pinned instance id.
        agent_version: For people.
    """

    node: NodeName
    instance: str
    agent_version: str = ""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What heartbeats tell, asked for at each one.

    Attributes:
        load: Returns how busy the node is.
        readings: Returns what its pods use (:mod:`protocol.samples`).
    """

    load: Callable[[], Load]
    readings: Callable[[], Mapping[int, int]] = dict


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """How the link sends, and what it may cost.

    Attributes:
        settings: The link's settings.
        account: Counts the node's bytes and knows its daily cap.
        measures: What all sessions count together.
        requests: Asks the cloud things while a session is open.
    """

    settings: LinkSettings = field(default_factory=LinkSettings)
    account: TrafficAccount = field(default_factory=lambda: TrafficAccount(lambda: 0.0))
    measures: LinkMeasures = field(default_factory=LinkMeasures)
    requests: Requests = field(default_factory=Requests)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended.

    Attributes:
        code: Why (:class:`protocol.frames.CloseCode`).
        reason: One line for a person.
        retry_after_s: Come back no sooner, seconds.
        opened: Whether the cloud had accepted the node.
    """

    code: int
    reason: str
    retry_after_s: float
    opened: bool


class Session:
    """Drives one edge link over one connection. Call :meth:`run` once.

    Args:
        connection: An open connection; the session closes it.
        store: The meta store.
        introduction: Who this node is.
        vitals: What heartbeats tell.
        rng: Source of the link's jitter.
        terms: How the link sends, and what it may cost.
        restate: Owe every remembered report again: the cloud may have given this node up meanwhile.
        on_open: Called once the cloud has accepted the node.
    """

    def __init__(
        self,
        connection: Connection,
        store: MetaStore,
        introduction: Introduction,
        *,
        vitals: Vitals,
        rng: Random,
        terms: LinkTerms | None = None,
        restate: bool = False,
        on_open: Callable[[Welcome], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._introduction = introduction
        self._vitals = vitals
        self._restate = restate
        self._on_open = on_open
        self._loop = asyncio.get_running_loop()
        terms = terms or LinkTerms()
        self._account = terms.account
        self._requests = terms.requests
        self._account.tell_time(self._loop.time())
        self._link = Link(
            Side.EDGE,
            terms.settings,
            rng,
            now=self._loop.time(),
            measures=terms.measures,
            meter=self._account.meter,
        )
        self._driver = LinkDriver(self._link, connection, self._handle, clock=self._loop.time)
        self._beats: asyncio.Future[None] = self._loop.create_future()
        self._welcome: Welcome | None = None
        self._batches: deque[Received] = deque()
        self._retry_after_s = 0.0
        self._wake_apply = asyncio.Event()
        self._opened = asyncio.Event()
        self._speaking = asyncio.Event()
        self._saved = False
        self._going_away = False

    @property
    def link(self) -> Link:
        """The link; to be read only."""
        return self._link

    @property
    def rtt_s(self) -> float | None:
        """The link's round-trip time, seconds; None until measured."""
        return self._link.rtt_s

    async def run(self) -> Ending:
        """Run the session until either side, the network or :meth:`leave` ends it."""
        self._link.start(self._hello(), self._now())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._apply(), name="hub-apply")
                self._beats = tasks.create_task(self._beat(), name="hub-beat")
                closed = await self._driver.run(tasks, "hub")
        finally:
            self._store.on_owed(None)
            self._requests.ended(self._ask)
        retry_after_s = max(self._retry_after_s, closed.retry_after_s)
        return Ending(closed.code, closed.reason, retry_after_s, self._welcome is not None)

    def pump(self) -> None:
        """Have sent what may go by now, after something outside the link has changed."""
        self._driver.pump()

    def leave(self, reason: str) -> None:
        """Say goodbye to the cloud and end the session."""
        self._close(CloseCode.GOING_AWAY, reason)

    def _hello(self) -> Hello:
        store, who = self._store, self._introduction
        return Hello(
            node=who.node,
            instance=who.instance,
            incarnation=store.incarnation,
            epoch=store.epoch,
            digest=store.digest,
            count=store.count,
            agent_version=who.agent_version,
        )

    def _now(self) -> float:
        return self._loop.time()

    def _handle(self, event: Event) -> None:
        match event:
            case WelcomeReceived(welcome):
                self._welcome = welcome
                self._on_open(welcome)
                self._opened.set()
                self._wake_apply.set()
            case Received():
                self._batches.append(event)
                self._wake_apply.set()
            case Settled():
                self._take_verdicts(event)
            case GoingAway(retry_after_s):
                self._retry_after_s = retry_after_s
                self._going_away = True
                self._wake_apply.set()
            case Closed():
                # Applying ends by itself, after the commit under way: cancelled, it would reach the disk unnoticed.
                self._beats.cancel()
                self._opened.set()
                self._wake_apply.set()

    # Applying

    async def _apply(self) -> None:
        await self._opened.wait()
        try:
            if self._welcome is not None:
                await self._begin(self._welcome)
            while self._link.closed is None:
                await self._wake_apply.wait()
                self._wake_apply.clear()
                if self._link.closed is None:
                    await self._apply_gathered()
                if self._going_away and not self._batches:
                    self._close(CloseCode.NORMAL, "reconnecting, as the cloud asked")
        except StaleEpoch as error:
            self._close(CloseCode.STALE_EPOCH, str(error))

    async def _begin(self, welcome: Welcome) -> None:
        """Make the epoch durable, then send what the cloud asked for and what is owed to it."""
        while not await self._epoch_durable(welcome):
            if self._link.closed is not None:
                return
            self._may_speak()
            await self._put_off(TRY_DISK_AGAIN_S)
        if self._link.closed is not None:
            return
        self._saved = True
        self._may_speak()
        self._owe(self._store.owed())
        if welcome.resume is Resume.INVENTORY:
            self._link.send_inventory(list(self._store.inventory()), self._now())
        self._driver.pump()

    async def _epoch_durable(self, welcome: Welcome) -> bool:
        equal = welcome.resume is Resume.EQUAL
        try:
            await self._store.begin_session(welcome.epoch, welcome.incarnation, equal=equal)
        except StorageUnavailable:
            return False
        return True

    def _may_speak(self) -> None:
        """From here on the cloud hears of this node: not before its epoch was offered to the disk.

        The cloud takes whoever comes with an older epoch than one it has heard from for a copy of this node, unless
        heartbeats say that the disk did not take the epoch.
        """
        if self._speaking.is_set():
            return
        self._speaking.set()
        if self._restate:
            self._store.restate()
        self._store.on_owed(self._owe)
        self._owe(self._store.owed())
        self._requests.opened(self._ask)

    async def _put_off(self, for_s: float) -> None:
        """Answer ``later`` to whatever comes for ``for_s`` seconds."""
        until = self._now() + for_s
        while (left := until - self._now()) > 0 and self._link.closed is None:
            while self._batches:
                batch = self._batches.popleft()
                self._settle(batch, [LATER] * len(batch.items))
            self._wake_apply.clear()
            alarm = self._loop.call_later(left, self._wake_apply.set)
            await self._wake_apply.wait()
            alarm.cancel()

    async def _apply_gathered(self) -> None:
        """Apply all batches that have gathered in one commit, then settle them."""
        if not self._batches:
            return
        gathered = list(self._batches)
        self._batches.clear()
        verdicts = await self._verdicts([item for batch in gathered for item in batch.items], gathered[0].epoch)
        at = 0
        for batch in gathered:
            self._settle(batch, verdicts[at : at + len(batch.items)])
            at += len(batch.items)
        if self._batches:
            self._wake_apply.set()

    async def _verdicts(self, items: Sequence[Item], epoch: int) -> Sequence[Verdict]:
        """Hand answers to whoever waits for them, and apply the rest. Answers are not for the disk."""
        answers = [item for item in items if item.key.resource == ANSWER]
        if not answers:
            return await self._store.apply(items, epoch)
        for item in answers:
            self._requests.answered(item)
        rest = [item for item in items if item.key.resource != ANSWER]
        applied = iter(await self._store.apply(rest, epoch) if rest else ())
        return [APPLIED if item.key.resource == ANSWER else next(applied) for item in items]

    def _settle(self, batch: Received, verdicts: Sequence[Verdict]) -> None:
        self._link.settle(batch.batch, verdicts, self._now())
        self._driver.pump()

    def _owe(self, rows: Sequence[Owed]) -> None:
        owe(self._link, rows, self._now())
        self._driver.pump()

    def _ask(self, item: Item) -> None:
        self._link.send(item, self._now(), Lane.TWIN if item.key.resource == DEVICE_REPORTS else Lane.SPEC)
        self._driver.pump()

    def _take_verdicts(self, settled: Settled) -> None:
        for item, verdict in zip(settled.items, settled.verdicts, strict=True):
            self._requests.settled(item, verdict)
        take_verdicts(self._store, settled)

    def _close(self, code: int, reason: str) -> None:
        self._link.close(code, reason, self._now())
        self._driver.pump()

    # Heartbeats

    async def _beat(self) -> None:
        await self._speaking.wait()
        assert self._welcome is not None
        encoder = HeartbeatEncoder()
        while True:
            load = replace(
                self._vitals.load(),
                rtt_us=round((self._link.rtt_s or 0.0) * 1e6),
                digest=digest_mark(self._store.digest),
                unsaved=int(not self._saved),
            )
            self._link.send_volatile(encoder.encode(load, self._readings()), self._now())
            self._driver.pump()
            self._account.tell_time(self._now())
            await self._account.checkpoint(self._now())
            await asyncio.sleep(self._welcome.heartbeat_s)

    def _readings(self) -> Mapping[int, int] | None:
        """Return what pods use, unless the daily cap holds bulk back: heartbeats go, but not with such a load."""
        bulk_goes = self._link.meter.open_lanes(self._now()) > Lane.BULK
        return self._vitals.readings() if bulk_goes else None
