"""NodeLink objects: how each node is connected at this moment. Computed when asked, never stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudcore.hub.session import Session
from cloudcore.store.base import Record
from protocol.objects.keys import Body, NodeName
from protocol.objects.times import timestamp

API_VERSION = "edge.aiokubeedge.io/v1alpha1"


def node_links(nodes: Iterable[Record], sessions: Mapping[NodeName, Session], now: float) -> list[Body]:
    """Return a NodeLink for each of ``nodes``, connected or not.

    Args:
        nodes: The Node objects.
        sessions: The open sessions.
        now: Seconds on the hub's monotonic clock.
    """
    return [_node_link(node, sessions.get(NodeName(node.key.name)), now) for node in nodes]


def _node_link(node: Record, session: Session | None, now: float) -> Body:
    metadata = node.decode()["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "NodeLink",
        "metadata": {
            "name": node.key.name,
            "uid": node.uid,
            "creationTimestamp": metadata.get("creationTimestamp"),
        },
        "status": {"connected": False} if session is None else _status(session, now),
    }


def _status(session: Session, now: float) -> Body:
    link, load = session.link, session.load
    status: Body = {
        "connected": True,
        "transport": session.transport,
        "address": session.address,
        "since": timestamp(session.since),
        "epoch": link.epoch,
        "rttMs": None if session.rtt_s is None else round(session.rtt_s * 1000, 3),
        "lagSeconds": round(link.lag_s(now), 3),
        "pending": len(link.outbox),
        "inSync": session.in_sync,
        "agentVersion": session.hello.agent_version if session.hello else "",
        "bytesSent": link.bytes_sent,
        "bytesReceived": link.bytes_received,
    }
    if load is not None:
        status["load"] = {"cpu": load.cpu / 1000, "memory": load.memory / 1000}
    if session.rejections:
        status["rejected"] = [{"object": key, "reason": reason} for key, reason in session.rejections.items()]
    return status
