"""``metrics.k8s.io``: what nodes use, from the loads that their heartbeats carry. Computed when asked, never stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cloudcore.hub.session import Session
from cloudcore.samples import WINDOW_S
from cloudcore.store.base import Record
from protocol.heartbeat import Load
from protocol.objects.keys import Body, NodeName
from protocol.objects.quantities import milli, whole
from protocol.objects.times import timestamp

API_VERSION: Final = "metrics.k8s.io/v1beta1"


def node_metrics(nodes: Iterable[Record], sessions: Mapping[NodeName, Session]) -> list[Body]:
    """Return a NodeMetrics object for each of ``nodes`` that is connected and has told its load.

    Args:
        nodes: The Node objects.
        sessions: The open sessions.
    """
    measured = []
    for record in nodes:
        session = sessions.get(NodeName(record.key.name))
        if session is not None and session.load is not None:
            measured.append(_metrics(record.decode(), session.load, session.told.at))
    return measured


def _metrics(node: Body, load: Load, at: float) -> Body:
    metadata = node["metadata"]
    shown = {"name": metadata["name"], "creationTimestamp": timestamp(at)}
    return {
        "apiVersion": API_VERSION,
        "kind": "NodeMetrics",
        "metadata": shown | ({"labels": metadata["labels"]} if metadata.get("labels") else {}),
        "timestamp": timestamp(at),
        "window": f"{WINDOW_S:g}s",
        "usage": usage(node, load),
    }


def usage(node: Body, load: Load) -> dict[str, str]:
    """Return a node's use as quantities: shares of its capacity, rounded to the nearest unit."""
    capacity = (node.get("status") or {}).get("capacity") or {}
    cpu = round(milli(capacity.get("cpu", 0)) * load.cpu / 1000)
    memory = round(whole(capacity.get("memory", 0)) * load.memory / 1000 / 1024)
    return {"cpu": f"{cpu}m", "memory": f"{memory}Ki"}
