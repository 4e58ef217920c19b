"""NodeSync objects: whether a node holds its slice, and what it has yet to get, since when and why. Never stored.

Of a node that is away the cloud keeps no ledger: what it would need is found out when it resumes. What can be said of
it is whether its slice is still the one whose digest it told last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloudcore.hub.router import Router
from cloudcore.hub.session import Session, Told
from cloudcore.hub.traffic import TrafficLedger
from cloudcore.store.base import Record
from protocol.heartbeat import digest_mark
from protocol.objects.keys import Body, NodeName
from protocol.objects.times import micro_timestamp, timestamp
from protocol.pending import Pending, lanes_of, pending_of
from protocol.traffic import TrafficKey

API_VERSION = "edge.aiokubeedge.io/v1alpha1"

LISTED: Final = 1000
"""Pending entries that one NodeSync lists, longest owed first; the others are counted."""


@dataclass(frozen=True, slots=True)
class Departure:
    """How a node's last session ended.

    Attributes:
        at: When, seconds since the epoch.
        code: The close code.
        reason: One line for a person.
        epoch: The session's epoch.
        told: What the node last told of its digest.
    """

    at: float
    code: int
    reason: str
    epoch: int
    told: Told | None


@dataclass(frozen=True, slots=True)
class Moment:
    """Both clocks at one moment: seconds since the epoch, and on the hub's monotonic clock."""

    wall: float
    monotonic: float

    def wall_of(self, monotonic: float) -> float:
        """Return when ``monotonic`` was, seconds since the epoch."""
        return self.wall - (self.monotonic - monotonic)


@dataclass(frozen=True, slots=True)
class View:
    """What NodeSyncs are made of.

    Attributes:
        router: Knows the slices.
        sessions: The open sessions.
        departures: How the last sessions of the nodes that are away ended, as far as this process saw them.
        traffic: The nodes' bytes of the day.
    """

    router: Router
    sessions: Mapping[NodeName, Session]
    departures: Mapping[NodeName, Departure]
    traffic: TrafficLedger

    def sync_of(self, node: Record, now: Moment, *, detail: bool) -> Body:
        """Return the NodeSync of one node.

        Args:
            node: The Node object.
            now: This moment.
            detail: Whether to list what is pending, or only to count it.
        """
        name = NodeName(node.key.name)
        session = self.sessions.get(name)
        status = self._away(name) if session is None else self._connected(name, session, now, detail=detail)
        status["slice"] = {"objects": self.router.count(name)}
        status["traffic"] = {"usedBytes": self.traffic.used_bytes(name), "dailyBytes": self.traffic.daily_bytes}
        if detail:
            status["traffic"]["today"] = _by_kind(self.traffic.today(name))
        return {
            "apiVersion": API_VERSION,
            "kind": "NodeSync",
            "metadata": {
                "name": name,
                "uid": node.uid,
                "creationTimestamp": node.decode()["metadata"].get("creationTimestamp"),
            },
            "status": status,
        }

    def _connected(self, node: NodeName, session: Session, now: Moment, *, detail: bool) -> Body:
        link = session.link
        digest = self._digest(node, session.told)
        behind = bool(len(link.outbox) or session.rejections or not session.resumed)
        if digest["equal"] is False and not behind and session.told.at <= session.acked_at:
            digest["equal"] = None  # it was told before the last acknowledgement: the next heartbeat will say
        status: Body = {
            "connected": True,
            "state": _state(session, digest["equal"]),
            "since": timestamp(session.since),
            "epoch": link.epoch,
            "address": session.address,
            "transport": session.transport,
            "digest": digest,
            "lagSeconds": round(link.lag_s(now.monotonic), 3),
            "pendingTotal": len(link.outbox),
            "lanes": [
                {
                    "lane": lane.name.lower(),
                    "queued": state.queued,
                    "inFlight": state.in_flight,
                    "oldestSeconds": None if state.oldest is None else round(now.monotonic - state.oldest, 3),
                }
                for lane, state in lanes_of(link).items()
            ],
            "held": session.held,
            "rejected": [_rejection(key, text) for key, text in session.rejections.items()],
        }
        if detail:
            status["pending"] = [_pending(each, now) for each in pending_of(link, LISTED, now.monotonic)]
        return status

    def _away(self, node: NodeName) -> Body:
        departure = self.departures.get(node)
        status: Body = {
            "connected": False,
            "state": "Offline",
            "digest": self._digest(node, None if departure is None else departure.told),
        }
        if departure is not None:
            status |= {
                "since": timestamp(departure.at),
                "epoch": departure.epoch,
                "closeCode": int(departure.code),
                "reason": departure.reason,
            }
        return status

    def _digest(self, node: NodeName, told: Told | None) -> Body:
        mark = digest_mark(self.router.digest(node))
        digest: Body = {"cloud": f"{mark:08x}", "edge": None, "equal": None}
        if told is not None:
            digest |= {"edge": f"{told.mark:08x}", "edgeAsOf": micro_timestamp(told.at), "equal": told.mark == mark}
        return digest


def _by_kind(today: Mapping[TrafficKey, int]) -> list[Body]:
    return [
        {"direction": direction, "lane": lane, "kind": kind, "bytes": count}
        for (direction, lane, kind), count in sorted(today.items(), key=lambda pair: -pair[1])
    ]


def _state(session: Session, equal: bool | None) -> str:
    if not session.resumed:
        return "Resuming"
    if len(session.link.outbox):
        return "Pending"
    if session.rejections:
        return "Rejected"
    return "Diverged" if equal is False else "InSync"


def _pending(pending: Pending, now: Moment) -> Body:
    item = pending.item
    shown: Body = {
        "resource": item.key.resource,
        "namespace": item.key.namespace,
        "name": item.key.name,
        "operation": item.op.name.lower(),
        "version": str(item.version),
        "lane": pending.lane.name.lower(),
        "since": micro_timestamp(now.wall_of(pending.since)),
        "ageSeconds": round(now.monotonic - pending.since, 3),
        "why": pending.why.value,
    }
    if pending.sent_at is not None:
        shown["sent"] = micro_timestamp(now.wall_of(pending.sent_at))
        shown["sends"] = pending.sends
    if pending.due_at is not None:
        shown["retryInSeconds"] = round(max(0.0, pending.due_at - now.monotonic), 3)
    if pending.put_off:
        shown["putOff"] = pending.put_off
    if pending.behind:
        shown["behind"] = pending.behind
    return shown


def _rejection(key: str, text: str) -> Body:
    code, _, reason = text.partition(": ")
    return {"object": key, "code": code, "reason": reason}
