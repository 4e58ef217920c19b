"""What nodes and pods use, read from what their sessions were last told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cloudcore.hub.session import Session
from cloudcore.samples import GPU_UTILIZATION, REQUESTS, ContainerSample, NodeSample, PodSample
from protocol.heartbeat import KELVIN
from protocol.objects.keys import Body, NodeName, Uid
from protocol.objects.mirrors import mirrored_uid
from protocol.samples import Metric, ReadingTable, reading_field


class HubSamples:
    """Implements :class:`cloudcore.samples.Samples`.

    Args:
        sessions: The open sessions, as they are at each call.
    """

    def __init__(self, sessions: Mapping[NodeName, Session]) -> None:
        self._sessions = sessions

    def node(self, name: NodeName) -> NodeSample | None:
        """Return how busy a node is."""
        session = self._sessions.get(name)
        load = session.load if session is not None else None
        if session is None or load is None:
            return None
        return NodeSample(
            at=session.told.at,
            cpu=load.cpu / 1000,
            memory=load.memory / 1000,
            disk=load.disk / 1000,
            rx_bytes_s=load.rx_bytes_s,
            tx_bytes_s=load.tx_bytes_s,
            requests_s=load.requests / 1000,
            rtt_s=session.rtt_s,
            temperature_c=(load.temperature - KELVIN) / 10 if load.temperature else None,
            gpu=(load.gpu - 1) / 1000 if load.gpu else None,
        )

    def pod(self, pod: Body) -> PodSample | None:
        """Return what a pod uses."""
        session = self._sessions.get(NodeName((pod.get("spec") or {}).get("nodeName") or ""))
        readings = session.readings if session is not None else None
        if session is None or readings is None:
            return None
        uid = mirrored_uid(pod) or Uid(pod["metadata"]["uid"])
        containers = dict(_containers(pod, uid, readings))
        custom = dict(_custom(uid, readings))
        return PodSample(session.told.at, containers, custom) if containers or custom else None


def _containers(pod: Body, uid: Uid, readings: ReadingTable) -> Iterator[tuple[str, ContainerSample]]:
    spec = pod["spec"]
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        name = container["name"]
        cpu = readings.get(reading_field(uid, name, Metric.CPU))
        memory = readings.get(reading_field(uid, name, Metric.MEMORY))
        if cpu is not None and memory is not None:
            yield name, ContainerSample(cpu, memory << 10)


def _custom(uid: Uid, readings: ReadingTable) -> Iterator[tuple[str, float]]:
    for name, metric in ((GPU_UTILIZATION, Metric.GPU), (REQUESTS, Metric.REQUESTS)):
        value = readings.get(reading_field(uid, "", metric))
        if value is not None:
            yield name, value / 1000
