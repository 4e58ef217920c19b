"""Follows versions of objects from their commit to each node's acknowledgement. Performs no I/O.

A version is followed when somebody has armed a trace for its object, or as a sample: a few a second, so that the latest
versions of a quiet fleet can be looked at afterwards. All of it is bounded: traces armed, versions kept, nodes per
version. While nothing is followed, handing an item to a node costs the look at :attr:`Tracing.active`, and sending a
batch the look at its link's probe.

Times are seconds on the hub's monotonic clock. What happens at the edge is told by the edge as durations (see
:class:`protocol.measures.Times`): the way there is taken as half of what is left of the batch's own round trip, so no
clock of the edge's matters and no time is off by more than that half.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cloudcore.errors import TooManyRequests
from protocol.link import Link
from protocol.measures import Times
from protocol.messages import Item, Op, Outcome, Verdict
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid

MAX_ARMED: Final = 64
"""Traces armed at once; the next one is refused."""
MAX_RECENT: Final = 128
"""Followed versions kept, armed or sampled; the oldest goes first."""
MAX_OPEN: Final = 4
"""Versions of one object under way at once; the oldest is then no longer followed."""
MAX_NODES: Final = 64
"""Nodes followed per version; further ones are counted."""
SAMPLES_PER_S: Final = 1.0
SAMPLES_BURST: Final = 8.0


@dataclass(slots=True)
class NodeTrace:
    """One version on its way to one node. A time is None while it has not come, or is not known.

    Attributes:
        node: The node.
        dispatched_at: When it was put into the node's outbox; at resume, when that found it missing.
        sent_at: When the first frame with it was handed to the transport.
        sends: How many frames with it were.
        received_at: When it arrived, as estimated from what the edge told.
        applied_at: When the edge had committed it, likewise.
        acked_at: When its acknowledgement arrived.
        uncertainty_s: By how much the edge's times may be off at most, seconds.
        outcome: ``applied``, ``rejected``, ``superseded`` (a newer version took its place before it was sent),
            ``held`` (the node had it when it came back); empty while it is under way.
        reason: More about the outcome, for a person.
        put_off: How often the edge answered ``later``.
        away: Whether the session in which it was dispatched has ended.
    """

    node: NodeName
    dispatched_at: float
    sent_at: float | None = None
    sends: int = 0
    received_at: float | None = None
    applied_at: float | None = None
    acked_at: float | None = None
    uncertainty_s: float | None = None
    outcome: str = ""
    reason: str = ""
    put_off: int = 0
    away: bool = False

    def settle(self, verdict: Verdict, now: float) -> None:
        """Take the edge's answer."""
        if verdict.outcome is Outcome.LATER:
            self.put_off += 1
            return
        self.acked_at = now
        self.outcome = verdict.outcome.name.lower()
        self.reason = f"{verdict.code}: {verdict.reason}" if verdict.code else ""

    def estimate(self, sent_at: float, now: float, times: Times) -> None:
        """Place what the edge told between the sending of the batch and its acknowledgement."""
        way_s = max(0.0, (now - sent_at - times.received_ago_s) / 2)
        self.received_at = sent_at + way_s
        self.applied_at = max(self.received_at, min(now, self.received_at + times.received_ago_s - times.settled_ago_s))
        self.uncertainty_s = way_s


@dataclass(slots=True)
class VersionTrace:
    """One version of one object.

    Attributes:
        number: Which one this is since the hub began.
        key: The object.
        uid: Its uid.
        version: The version.
        op: Put or delete.
        begun_at: When this trace began.
        sampled: Whether it is followed to whatever node, without anybody having asked.
        committed_at: When the version was on the cloud's disk at the latest; None where it was older and a node came
            to need it.
        nodes: The nodes it goes to.
        more_nodes: How many further ones it goes to.
        exported: Whether it has been handed on.
    """

    number: int
    key: ObjectKey
    uid: Uid
    version: Revision
    op: Op
    begun_at: float
    committed_at: float | None
    sampled: bool
    nodes: dict[NodeName, NodeTrace] = field(default_factory=dict)
    more_nodes: int = 0
    exported: bool = False

    @property
    def finished(self) -> bool:
        """Whether each node it goes to has settled it."""
        return bool(self.nodes) and all(node.outcome for node in self.nodes.values())

    def is_of(self, item: Item) -> bool:
        """Tell whether ``item`` carries this version."""
        return (item.version, item.uid, item.op) == (self.version, self.uid, self.op)


@dataclass(slots=True)
class ArmedTrace:
    """A request to follow the next versions of one object.

    Attributes:
        name: Its name.
        uid: Its uid, as an object of the API.
        key: The object.
        node: The only node to follow; empty for all.
        wanted: How many versions.
        created_at: Wall-clock time, seconds since the epoch.
        expires_at: When it goes, with what it has recorded.
        versions: What it has recorded.
    """

    name: str
    uid: str
    key: ObjectKey
    node: str
    wanted: int
    created_at: float
    expires_at: float
    versions: list[VersionTrace] = field(default_factory=list)

    def takes(self, key: ObjectKey, node: NodeName, version: VersionTrace | None) -> bool:
        """Tell whether this asks for ``version`` (None: a new one) of ``key`` on its way to ``node``."""
        if key != self.key or self.node not in ("", node):
            return False
        return len(self.versions) < self.wanted or any(each is version for each in self.versions)

    @property
    def state(self) -> str:
        """``Waiting``, ``Recording`` or ``Complete``."""
        if len(self.versions) == self.wanted and all(version.finished for version in self.versions):
            return "Complete"
        return "Recording" if self.versions else "Waiting"


class NodeProbe:
    """Follows items over one node's link while any is under way. Implements :class:`protocol.measures.Probe`."""

    def __init__(self, tracing: Tracing, node: NodeName, link: Link) -> None:
        self._tracing = tracing
        self._node = node
        self._link = link
        self.keys: set[ObjectKey] = set()

    def wants(self, items: Sequence[Item]) -> bool:
        """Tell whether any of ``items`` is of an object that is followed to this node."""
        return not self.keys.isdisjoint([item.key for item in items])

    def sent(self, items: Sequence[Item], now: float, *, again: bool) -> None:
        """Note when each followed item left."""
        del again  # a frame that goes again counts like any other
        for trace in self._traces(items):
            trace.sends += 1
            if trace.sent_at is None:
                trace.sent_at = now

    def settled(
        self, items: Sequence[Item], verdicts: Sequence[Verdict], sent_at: float, now: float, times: Times | None
    ) -> None:
        """Note how each followed item was settled."""
        for item, verdict in zip(items, verdicts, strict=True):
            for trace in self._traces((item,)):
                trace.settle(verdict, now)
                if times is not None and trace.outcome:
                    trace.estimate(sent_at, now, times)
                self._tracing.close_finished(item.key)
                if not self._tracing.under_way(item.key, self._node):
                    self.keys.discard(item.key)
        if not self.keys:
            self._link.probe = None

    def _traces(self, items: Sequence[Item]) -> list[NodeTrace]:
        followed = [item for item in items if item.key in self.keys]
        found = [self._tracing.find(item, self._node) for item in followed]
        return [trace for trace in found if trace is not None]


class Tracing:
    """All traces of one hub.

    Args:
        on_finished: Takes each followed version once: when all its nodes have settled it, or when it is dropped.

    Attributes:
        active: Whether anything may have to be followed; asked for each item handed to a node.
        armed: Armed traces by name, oldest first.
        recent: Followed versions by number, oldest first.
    """

    def __init__(self, on_finished: Callable[[VersionTrace], None] | None = None) -> None:
        self.active = True
        self.armed: OrderedDict[str, ArmedTrace] = OrderedDict()
        self.recent: OrderedDict[int, VersionTrace] = OrderedDict()
        self.on_finished = on_finished
        self._open: dict[ObjectKey, list[VersionTrace]] = {}
        self._samples = SAMPLES_BURST
        self._ticked_at: float | None = None
        self._count = 0

    def arm(self, armed: ArmedTrace, now: float) -> None:
        """Follow the next versions of an object.

        Raises:
            TooManyRequests: As many traces as there may be are armed.
        """
        self.tick(now)
        if len(self.armed) >= MAX_ARMED:
            raise TooManyRequests(f"{MAX_ARMED} traces are armed: delete one, or let one expire", retry_after_s=5)
        self.armed[armed.name] = armed
        self._look()

    def disarm(self, name: str) -> ArmedTrace | None:
        """Forget an armed trace; what it recorded stays among the recent ones."""
        armed = self.armed.pop(name, None)
        self._look()
        return armed

    def tick(self, now: float) -> None:
        """Let time pass: traces expire, and samples may be taken again. Called for each group of changes."""
        for name in [name for name, armed in self.armed.items() if armed.expires_at <= now]:
            del self.armed[name]
        if self._ticked_at is not None:
            self._samples = min(SAMPLES_BURST, self._samples + (now - self._ticked_at) * SAMPLES_PER_S)
        self._ticked_at = now
        self._look()

    def dispatched(self, item: Item, node: NodeName, link: Link, now: float, *, committed: bool) -> None:
        """Take note that ``item`` is about to be handed to ``node``, and follow it over its link where that is wanted.

        Args:
            item: A put or delete.
            node: Who gets it.
            link: The node's link.
            now: The time.
            committed: Whether it is the news of a commit, rather than something older that the node came to need.
        """
        version = self._version(item)
        takers = [armed for armed in self.armed.values() if armed.takes(item.key, node, version)]
        sampled = version.sampled if version is not None else committed and self._samples >= 1
        if not takers and not sampled:
            if item.key in self._open:
                self._supersede(item)
            return
        if version is None:
            version = self._begin(item, now, committed=committed, sampled=not takers)
        for armed in takers:
            if not any(each is version for each in armed.versions):
                armed.versions.append(version)
        if node not in version.nodes and len(version.nodes) >= MAX_NODES:
            version.more_nodes += 1
            return
        trace = version.nodes.setdefault(node, NodeTrace(node, now))
        trace.away = False
        if not isinstance(link.probe, NodeProbe):
            link.probe = NodeProbe(self, node, link)
        link.probe.keys.add(item.key)

    def left(self, node: NodeName) -> None:
        """Take note that the session of ``node`` has ended."""
        for trace in self._under_way_to(node):
            trace.away = True

    def resumed(self, node: NodeName, now: float) -> None:
        """Take note that ``node`` has been sent all it lacked; what was under way and was not sent again, it holds."""
        for trace in self._under_way_to(node):
            if trace.away:
                trace.outcome, trace.reason, trace.acked_at = "held", "found at resume, its ack was lost", now
        for key in list(self._open):
            self.close_finished(key)

    def under_way(self, key: ObjectKey, node: NodeName) -> bool:
        """Tell whether a version of ``key`` is on its way to ``node``."""
        versions = self._open.get(key, ())
        return any(node in version.nodes and not version.nodes[node].outcome for version in versions)

    def find(self, item: Item, node: NodeName) -> NodeTrace | None:
        """Return the trace of exactly this version to ``node``, while it is under way."""
        version = self._version(item)
        trace = version.nodes.get(node) if version is not None else None
        return trace if trace is not None and not trace.outcome else None

    def close_finished(self, key: ObjectKey) -> None:
        """Hand on the versions of ``key`` that all their nodes have settled."""
        for version in [version for version in self._open.get(key, ()) if version.finished]:
            self._close(version)

    def flush(self) -> None:
        """Hand on all that has not been, finished or not: the hub ends."""
        for version in self.recent.values():
            self._hand_on(version)

    def _version(self, item: Item) -> VersionTrace | None:
        return next((version for version in self._open.get(item.key, ()) if version.is_of(item)), None)

    def _under_way_to(self, node: NodeName) -> list[NodeTrace]:
        versions = [version for versions in self._open.values() for version in versions]
        traces = [version.nodes[node] for version in versions if node in version.nodes]
        return [trace for trace in traces if not trace.outcome]

    def _begin(self, item: Item, now: float, *, committed: bool, sampled: bool) -> VersionTrace:
        self._supersede(item)
        self._count += 1
        if sampled:
            self._samples -= 1
        committed_at = now if committed else None
        version = VersionTrace(self._count, item.key, item.uid, item.version, item.op, now, committed_at, sampled)
        self._open.setdefault(item.key, []).append(version)
        self.recent[version.number] = version
        if len(self.recent) > MAX_RECENT:
            self._close(self.recent.popitem(last=False)[1])
        self._look()
        return version

    def _supersede(self, item: Item) -> None:
        """What was not sent of earlier versions never will be; what was is still followed, up to a few versions."""
        for older in list(self._open.get(item.key, ())):
            for trace in older.nodes.values():
                if not trace.outcome and trace.sent_at is None:
                    trace.outcome, trace.reason = "superseded", f"version {item.version} took its place in the outbox"
        self.close_finished(item.key)
        versions = self._open.get(item.key, [])
        if len(versions) >= MAX_OPEN:
            self._close(versions[0])

    def _close(self, version: VersionTrace) -> None:
        versions = self._open.get(version.key, [])
        if any(each is version for each in versions):
            versions[:] = [each for each in versions if each is not version]
            if not versions:
                del self._open[version.key]
        self._hand_on(version)

    def _hand_on(self, version: VersionTrace) -> None:
        if not version.exported:
            version.exported = True
            if self.on_finished is not None:
                self.on_finished(version)

    def _look(self) -> None:
        self.active = bool(self.armed or self._open) or self._samples >= 1
