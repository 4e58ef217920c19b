"""The hub: keeps every node's slice, and a session with every node that is connected.

Contract. One task follows the store and hands each change to the router and the sessions it concerns; that path does
no I/O and waits for no node (it yields to the loop now and then). Each connection runs in its caller's task
(:meth:`Hub.serve`). A node has one session: the newest. A session that opens takes its place in ``sessions`` and in
the router in the same step in which it is welcomed, so no change can fall between its digest and its deliveries.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Final

import structlog

from cloudcore.client import Client
from cloudcore.clock import Clock
from cloudcore.errors import ApiError, Gone, NotFound
from cloudcore.events import Recorder
from cloudcore.hub import admittance
from cloudcore.hub.admittance import Live, Refusal
from cloudcore.hub.conditions import mark_duplicate
from cloudcore.hub.leases import Leases
from cloudcore.hub.pacing import Slots
from cloudcore.hub.resume import catch_up, end_of_difference
from cloudcore.hub.router import Delivery, Router
from cloudcore.hub.samples import HubSamples
from cloudcore.hub.session import Session
from cloudcore.hub.settings import HubSettings
from cloudcore.hub.syncview import Departure
from cloudcore.hub.tracing import Tracing
from cloudcore.hub.traffic import TrafficLedger
from cloudcore.hub.upstream import PodServices, Upstream, note_rejection
from cloudcore.hub.views import HubViews
from cloudcore.security.identity import Identity, Pins
from cloudcore.store.base import Change, ChangeType, Record, Store
from protocol.events import Closed
from protocol.frames import CloseCode
from protocol.link import Link, Side
from protocol.measures import LinkMeasures
from protocol.messages import Hello, InventoryEntry, Item, Lane, Resume, Verdict, Welcome
from protocol.objects.keys import NodeName, ObjectKey, Revision
from protocol.objects.resources import NODES
from protocol.settings import LinkSettings
from protocol.transports.base import Connection

log = structlog.get_logger(__name__)

YIELD_AFTER: Final = 256
"""Items handed to sessions between two yields to the event loop: about a millisecond's worth."""
RELIST_AFTER_S: Final = 1.0
DRAIN_POLL_S: Final = 0.05


class Hub:
    """Everything about connected nodes but the listening socket.

    Args:
        store: Followed for changes; issues epochs.
        client: Writes what nodes report.
        recorder: Takes events about nodes.
        clock: Wall and monotonic time.
        rng: Source of jitter.
        settings: See :class:`HubSettings`.
        heartbeats: Writes the leases, where that is not to share the rate of ``client``.
        services: What is done for pods.
    """

    def __init__(
        self,
        store: Store,
        client: Client,
        recorder: Recorder,
        *,
        clock: Clock,
        rng: Random,
        settings: HubSettings | None = None,
        heartbeats: Client | None = None,
        services: PodServices | None = None,
    ) -> None:
        self.settings = settings or HubSettings()
        self.router = Router(store.incarnation)
        self.sessions: dict[NodeName, Session] = {}
        self.samples = HubSamples(self.sessions)
        """What nodes and pods use."""
        self.traffic = TrafficLedger(store, clock, daily_bytes=self.settings.daily_bytes)
        self.leases = Leases(
            heartbeats or client, clock, duration_s=self.settings.lease_duration_s, annotations=self.traffic.note
        )
        self.upstream = Upstream(store, client, self.router, recorder, services=services)
        self.slots = Slots(self.settings.pacing, rng)
        self.counters: Counter[str] = Counter()
        """Monotonic counts for the metrics: sessions, refusals, deliveries, resumes, rejections."""
        self.measures = LinkMeasures()
        """What all links count together."""
        self.departures: dict[NodeName, Departure] = {}
        """How the sessions of the nodes that are away ended; a Node that is deleted goes from here too."""
        self.tracing = Tracing()
        """Follows single versions to their nodes."""
        self.views = HubViews(
            self.router,
            self.sessions,
            self.departures,
            traffic=self.traffic,
            samples=self.samples,
            tracing=self.tracing,
            clock=clock,
        )
        """What the API serves of all this."""
        self.ready = asyncio.Event()
        """Set once every slice is known; sessions open only then."""
        self._store = store
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._rng = rng
        self._opening: dict[NodeName, Session] = {}
        self._resuming = asyncio.Semaphore(self.settings.pacing.resuming)
        self._draining = False
        self._handed = 0

    async def run(self) -> None:
        """Follow the store and renew leases until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="hub: follow the store")
            tasks.create_task(self.leases.run(), name="hub: renew leases")

    async def serve(self, connection: Connection, identity: Identity, *, transport: str = "memory") -> Closed:
        """Drive one connection of an authenticated peer until it ends, and say how; the connection is then closed."""
        node = identity.node
        # Whoever is no node of ours (deleted, its certificate still good) leaves nothing behind.
        meter = self.traffic.meter(node) if self.router.record(ObjectKey(NODES, "", node)) is not None else None
        link = Link(
            Side.CLOUD, self.settings.link, self._rng, now=self._clock.monotonic(), measures=self.measures, meter=meter
        )
        session = Session(
            self, connection, identity, link, self._clock, transport=transport, close_s=self.settings.close_s
        )
        self._make_room(session)
        closed = Closed(CloseCode.ABNORMAL, "the session was ended by a defect")
        try:
            closed = await session.run()
        except* Exception:
            # A defect, ours by definition: what a peer does wrong ends in a close code. It costs this session alone.
            log.exception("session failed", node=identity.node, address=session.address)
        finally:
            self._leave(session)
        self._note_end(session, closed)
        return closed

    async def drain(self) -> None:
        """Send every node away, each with a time of its own to come back, and end all sessions.

        Call it before :meth:`run` is cancelled; new connections are turned away from now on.
        """
        self._draining = True
        for session in list(self.sessions.values()):
            session.drain(self._slot())
        for _ in range(math.ceil(self.settings.drain_s / DRAIN_POLL_S)):
            if not any(session.link.in_flight for session in self.sessions.values()):
                break
            await asyncio.sleep(DRAIN_POLL_S)
        for session in [*self.sessions.values(), *self._opening.values()]:
            session.end(CloseCode.GOING_AWAY, "the hub is shutting down", retry_after_s=self._slot())

    def reload(self, link: LinkSettings, daily_bytes: int) -> None:
        """Take over settings: the cap for all nodes at once, the rest by sessions that open from now on."""
        self.settings = replace(self.settings, link=link, daily_bytes=daily_bytes)
        self.traffic.cap(daily_bytes)
        for session in self.sessions.values():
            session.pump()

    # What sessions call (``session.Host``).

    async def open(self, session: Session, hello: Hello) -> None:
        """Welcome or refuse an edge that said ``hello``."""
        await self.ready.wait()
        node = session.identity.node
        try:
            record = await self._node(node)
            refusal = self._judge(session, hello, record)
            if refusal is None:
                await self.traffic.recall(node)
            epoch = max(await self._store.reserve(), hello.epoch + 1) if refusal is None else 0
        except ApiError as exc:
            refusal, epoch, record = Refusal(CloseCode.TRY_LATER, exc.message), 0, None
        # The store has been waited for: whoever opened meanwhile counts.
        refusal = refusal or self._judge(session, hello, record)
        if refusal is not None:
            await self._refuse(session, hello, refusal)
        elif session.link.closed is None and record is not None:
            self._admit(session, hello, record, epoch)
            await mark_duplicate(self._client, self._clock, node, "")

    async def resume(self, session: Session, entries: Sequence[InventoryEntry]) -> None:
        """Send what differs between the inventory and the slice."""
        node = session.identity.node
        same = session.hello is not None and session.hello.incarnation == self._store.incarnation
        revision = self._store.revision
        async with self._resuming:
            sent = 0
            for item in catch_up(self.router, node, entries, same_incarnation=same, revision=revision):
                if not self._is_current(session):
                    return
                self._hand(session, item, committed=False)
                sent += 1
                await self._breathe()
            # First in, first out: behind the difference, and held by a daily cap no sooner than that.
            session.deliver(end_of_difference(node, session.link.epoch), Lane.SPEC)
            self.tracing.resumed(node, self._clock.monotonic())
        self.counters["resumed_items"] += sent
        log.info("resumed", node=node, epoch=session.link.epoch, held=len(entries), sent=sent)

    async def apply(self, session: Session, items: Sequence[Item]) -> list[Verdict]:
        """Apply a batch of reports and return a verdict for each."""
        return await self.upstream.settle(
            session.identity.node,
            items,
            lambda: self._is_current(session),
            lambda answer: session.deliver(answer, Lane.SPEC),
        )

    def heartbeat(self, session: Session) -> None:
        """Renew the node's lease."""
        record = self.router.record(ObjectKey(NODES, "", session.identity.node))
        if record is not None and self._is_current(session):
            session.link.meter.tell_time(self._clock.wall(), self._clock.monotonic())
            self.leases.renew(session.identity.node, record.uid)

    def rejected(self, session: Session, item: Item, verdict: Verdict) -> None:
        """Show that an edge will not take an item."""
        node = session.identity.node
        self.counters["rejected_items"] += 1
        log.warning("item rejected", node=node, object=str(item.key), code=verdict.code, cause=verdict.reason)
        message = f"{item.key}: {verdict.code}: {verdict.reason}"
        note_rejection(self._recorder, self.router, node, "ItemRejected", message)

    # Opening and ending.

    def _judge(self, session: Session, hello: Hello, record: Record | None) -> Refusal | None:
        live = self.sessions.get(session.identity.node)
        known = None
        if live is not None and live.hello is not None and live.link.closed is None:
            known = Live(live.hello.instance, live.link.epoch, live.epoch_taken)
        return admittance.judge(session.identity, hello, record.decode() if record else None, known)

    async def _refuse(self, session: Session, hello: Hello, refusal: Refusal) -> None:
        node = session.identity.node
        self.counters["refused"] += 1
        log.warning(
            "node refused",
            node=node,
            address=session.address,
            instance=hello.instance,
            code=int(refusal.code),
            cause=refusal.reason,
        )
        busy = refusal.code is CloseCode.TRY_LATER
        session.end(refusal.code, refusal.reason, retry_after_s=self._slot() if busy else 0.0)
        if refusal.duplicate:
            note_rejection(self._recorder, self.router, node, "DuplicateInstance", refusal.reason)
            await mark_duplicate(self._client, self._clock, node, refusal.reason)

    def _admit(self, session: Session, hello: Hello, record: Record, epoch: int) -> None:
        """Make ``session`` the node's session; from here to the welcome nothing is awaited."""
        node = session.identity.node
        older = self.sessions.get(node)
        if older is not None and older.link.epoch > epoch:
            session.end(CloseCode.SUPERSEDED, "a newer session of this node has opened")
            return
        self._opened(session)
        self.sessions[node] = session
        self.departures.pop(node, None)
        session.node_revision = record.revision
        if older is not None:
            self.counters["superseded"] += 1
            older.end(CloseCode.SUPERSEDED, "a newer session of this node has opened")
        self.router.attach(node)
        equal = hello.incarnation == self._store.incarnation and hello.digest == self.router.digest(node)
        resume = Resume.EQUAL if equal else Resume.INVENTORY
        session.welcome(
            Welcome(epoch, self._store.incarnation, resume, self.settings.heartbeat_s, self.settings.link.keepalive_s)
        )
        if equal:
            self.tracing.resumed(node, self._clock.monotonic())
        self.counters["opened"] += 1
        log.info("node connected", node=node, address=session.address, epoch=epoch, resume=resume.name.lower())

    def _make_room(self, session: Session) -> None:
        """Take a newcomer in, or turn it away: there is one place per node, the newest connection's."""
        earlier = self._opening.get(session.identity.node)
        if self._draining or (earlier is None and len(self._opening) >= self.settings.pacing.opening):
            self._turn_away(session, "the hub is busy")
            return
        self._opening[session.identity.node] = session
        if earlier is not None:
            self._turn_away(earlier, "a newer connection of this node is opening")

    def _turn_away(self, session: Session, reason: str) -> None:
        self.counters["turned_away"] += 1
        session.end(CloseCode.TRY_LATER, reason, retry_after_s=self._slot())

    def _opened(self, session: Session) -> None:
        if self._opening.get(session.identity.node) is session:
            del self._opening[session.identity.node]

    def _leave(self, session: Session) -> None:
        self._opened(session)
        node = session.identity.node
        if self.sessions.get(node) is session:
            del self.sessions[node]
            self.router.detach(node)
            self.tracing.left(node)
            self._note_departure(session)

    def _note_departure(self, session: Session) -> None:
        node = session.identity.node
        if self.router.record(ObjectKey(NODES, "", node)) is None:
            return
        closed = session.link.closed or Closed(CloseCode.ABNORMAL, "the session was ended by a defect")
        self.departures[node] = Departure(
            self._clock.wall(), closed.code, closed.reason, session.link.epoch, session.told
        )

    def _note_end(self, session: Session, closed: Closed) -> None:
        self.counters["ended"] += 1
        log.info(
            "session ended",
            node=session.identity.node,
            epoch=session.link.epoch,
            code=closed.code,
            cause=closed.reason,
            by="edge" if closed.remote else "cloud",
        )

    def _is_current(self, session: Session) -> bool:
        return self.sessions.get(session.identity.node) is session and session.link.closed is None

    def _slot(self) -> float:
        return self.slots.take(self._clock.monotonic())

    async def _node(self, node: NodeName) -> Record | None:
        try:
            return await self._store.get(ObjectKey(NODES, "", node))
        except NotFound:
            return None

    # Following the store.

    async def _follow(self) -> None:
        while True:
            try:
                positions = await self._list()
                self.ready.set()
                async for progress in self._store.watch(self.settings.resources, since=positions):
                    self.tracing.tick(self._clock.monotonic())
                    for change in progress.changes:
                        await self._dispatch(self.router.observe(change))
                        self._check_session(change)
                return  # the store was closed
            except Gone:
                log.warning("fell behind the store, listing again")
            except ApiError as exc:
                log.error("the store cannot be followed", cause=exc.message)
                await asyncio.sleep(RELIST_AFTER_S)

    async def _list(self) -> Mapping[str, Revision]:
        """Take in a list of each resource; return the revision that each one is of.

        They need not be the same: what one refers to in another is there already, or comes.
        """
        positions: dict[str, Revision] = {}
        for resource in self.settings.resources:
            listing = await self._store.list(resource)
            positions[resource] = listing.revision
            await self._dispatch(self.router.replace(resource, listing.records, listing.revision))
        for session in list(self.sessions.values()):
            record = self.router.record(ObjectKey(NODES, "", session.identity.node))
            self._check_pins(session, record, positions[NODES])
        return positions

    async def _dispatch(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            for node in delivery.nodes:
                session = self.sessions.get(node)
                if session is not None:
                    self._hand(session, delivery.item, committed=True)
                    self.counters["delivered"] += 1
                    await self._breathe()

    def _hand(self, session: Session, item: Item, *, committed: bool) -> None:
        """Owe ``item`` to a node, and follow it there if somebody wants to know."""
        if self.tracing.active:
            now = self._clock.monotonic()
            self.tracing.dispatched(item, session.identity.node, session.link, now, committed=committed)
        session.deliver(item)

    async def _breathe(self) -> None:
        self._handed += 1
        if self._handed % YIELD_AFTER == 0:
            await asyncio.sleep(0)

    def _check_session(self, change: Change) -> None:
        if change.record.key.resource == NODES:
            node, gone = NodeName(change.record.key.name), change.type is ChangeType.DELETED
            session = self.sessions.get(node)
            if gone:
                self.traffic.forget(node)
                self.departures.pop(node, None)
            if session is not None:
                self._check_pins(session, None if gone else change.record, change.revision)

    def _check_pins(self, session: Session, record: Record | None, revision: Revision) -> None:
        """End a session that would no longer be let in. News older than what let it in do not count."""
        if revision <= session.node_revision:
            return
        node = session.identity.node
        if record is None:
            session.end(CloseCode.UNKNOWN_NODE, f"node {node} was deleted")
        elif Pins.of(record.decode()).certificate != session.identity.certificate:
            session.end(CloseCode.REVOKED, f"node {node} has joined again with another certificate")
