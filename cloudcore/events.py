"""The event recorder: how the cloud's parts tell people what they did and why (``kubectl describe``, ``get events``).

Recording never blocks and never fails its caller. Records that say the same about the same object are one Event with
a count. One task writes. The queue holds :data:`QUEUE_LIMIT` distinct records; when it is full the oldest is dropped
and counted in :attr:`EventRecorder.dropped`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import structlog

from cloudcore.client import Client
from cloudcore.clock import Clock
from cloudcore.errors import ApiError, NotFound, StorageUnavailable, TooManyRequests
from protocol.objects.keys import Body
from protocol.objects.resources import EVENTS
from protocol.objects.times import timestamp

log = structlog.get_logger(__name__)

QUEUE_LIMIT = 1024
REMEMBERED = 4096
"""Distinct records, and objects, whose past is remembered, least recently used forgotten first."""
SPAM_BURST = 25
SPAM_REFILL_S = 300.0
"""An object may cause 25 event writes at once from one component and then one every 5 minutes (as in Kubernetes)."""
MESSAGE_LIMIT = 1024

EventType = Literal["Normal", "Warning"]


class Subject(NamedTuple):
    """What makes two records one Event."""

    component: str
    kind: str
    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str


@dataclass(slots=True)
class Series:
    """One Event in the making or in the store; times are seconds since the epoch."""

    involved: Body
    first_s: float
    last_s: float
    count: int = 1
    stored_as: str = ""


class SpamFilter:
    """A token bucket per object. Sans-IO; ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, who: str, now: float) -> bool:
        """Take a token of ``who``; False when there is none."""
        tokens, since = self._buckets.pop(who, (float(SPAM_BURST), now))
        tokens = min(float(SPAM_BURST), tokens + (now - since) / SPAM_REFILL_S)
        allowed = tokens >= 1
        self._buckets[who] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return allowed


class Recorder(Protocol):
    """What a part that records events needs."""

    def event(self, regarding: Body, type: EventType, reason: str, message: str) -> None:
        """Record that something happened to ``regarding``. Does not block."""


@dataclass(frozen=True, slots=True)
class NamedRecorder:
    """A recorder for another component that shares its parent's queue and task."""

    parent: EventRecorder
    component: str

    def event(self, regarding: Body, type: EventType, reason: str, message: str) -> None:
        """Record that something happened to ``regarding``; see :meth:`EventRecorder.event`."""
        self.parent.record(self.component, regarding, type, reason, message)


class EventRecorder:
    """Records events; its own :meth:`event` in the name of one component, :meth:`named` in that of others.

    Args:
        client: Writes the Events.
        clock: Gives their times.
        component: ``source.component``: ``deployment-controller``, ``scheduler``…
    """

    def __init__(self, client: Client, clock: Clock, component: str) -> None:
        self._client = client
        self._clock = clock
        self._component = component
        self._pending: OrderedDict[Subject, None] = OrderedDict()
        self._known: OrderedDict[Subject, Series] = OrderedDict()
        self._spam = SpamFilter()
        self._wanted = asyncio.Event()
        self._last_name = 0
        self.dropped = 0

    def event(self, regarding: Body, type: EventType, reason: str, message: str) -> None:
        """Record that something happened to ``regarding``. Does not block.

        Args:
            regarding: The object; its ``apiVersion``, ``kind`` and ``metadata`` are used.
            type: ``Normal`` or ``Warning``.
            reason: A CamelCase word for programs.
            message: A sentence for people; cut at 1,024 characters.
        """
        self.record(self._component, regarding, type, reason, message)

    def named(self, component: str) -> NamedRecorder:
        """Return a recorder for another component on the same queue."""
        return NamedRecorder(self, component)

    def record(self, component: str, regarding: Body, type: EventType, reason: str, message: str) -> None:
        """Record in the name of ``component``; see :meth:`event`."""
        metadata = regarding["metadata"]
        message = message[:MESSAGE_LIMIT]
        kind, namespace, name = regarding.get("kind", ""), metadata.get("namespace", ""), metadata["name"]
        uid = metadata.get("uid", "")
        if not self._spam.admits(f"{component}/{uid or f'{kind}/{namespace}/{name}'}", self._clock.monotonic()):
            self.dropped += 1
            return
        self._note(Subject(component, kind, namespace, name, uid, type, reason, message), regarding)

    async def run(self) -> None:
        """Write what is recorded until cancelled."""
        while True:
            await self._wanted.wait()
            while self._pending:
                subject, _ = self._pending.popitem(last=False)
                series = self._known.get(subject)
                if series is not None:
                    await self._write(subject, series)
            self._wanted.clear()

    def _note(self, subject: Subject, regarding: Body) -> None:
        now = self._clock.wall()
        series = self._known.get(subject)
        if series is None:
            self._known[subject] = Series(_reference(regarding), first_s=now, last_s=now)
        else:
            series.count += 1
            series.last_s = now
        self._known.move_to_end(subject)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        self._pending[subject] = None
        if len(self._pending) > QUEUE_LIMIT:
            self._pending.popitem(last=False)
            self.dropped += 1
        self._wanted.set()

    async def _write(self, subject: Subject, series: Series) -> None:
        for attempt in range(1, 4):
            try:
                await self._store(subject, series)
            except (TooManyRequests, StorageUnavailable) as error:
                await asyncio.sleep(error.retry_after_s or attempt)
            except ApiError as error:
                log.debug("event refused", reason=subject.reason, name=subject.name, cause=error.message)
                break
            else:
                return
        self.dropped += 1

    async def _store(self, subject: Subject, series: Series) -> None:
        namespace = subject.namespace or "default"
        if series.stored_as:
            patch = {"count": series.count, "lastTimestamp": timestamp(series.last_s)}
            try:
                await self._client.patch(EVENTS, namespace, series.stored_as, patch)
            except NotFound:
                series.stored_as = ""  # it has expired: begin a new series
                series.count, series.first_s = 1, series.last_s
            else:
                return
        body = self._body(subject, series, namespace)
        await self._client.create(EVENTS, body)
        series.stored_as = body["metadata"]["name"]

    def _body(self, subject: Subject, series: Series, namespace: str) -> Body:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self._name(subject.name), "namespace": namespace},
            "involvedObject": series.involved,
            "type": subject.type,
            "reason": subject.reason,
            "message": subject.message,
            "source": {"component": subject.component},
            "firstTimestamp": timestamp(series.first_s),
            "lastTimestamp": timestamp(series.last_s),
            "count": series.count,
            "eventTime": None,
            "reportingComponent": subject.component,
            "reportingInstance": "",
        }

    def _name(self, name: str) -> str:
        """Return ``<name>.<hex>``, the hex part growing with time and never the same twice."""
        self._last_name = max(self._last_name + 1, int(self._clock.wall() * 1e9))
        return f"{name[:236]}.{self._last_name:x}"


def _reference(regarding: Body) -> Body:
    metadata = regarding["metadata"]
    reference = {
        "apiVersion": regarding.get("apiVersion", ""),
        "kind": regarding.get("kind", ""),
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "resourceVersion": metadata.get("resourceVersion", ""),
    }
    return {key: value for key, value in reference.items() if value}
