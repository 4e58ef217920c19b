"""What nodes and pods use at this moment, for whoever decides by it: autoscalers, placement.

The hub answers from what the nodes' heartbeats have told; nothing of it is stored. A node that is not connected, and a
pod on one, has no sample: what it used once says nothing of now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from protocol.objects.keys import Body, NodeName

WINDOW_S: Final = 10.0
"""Over so many seconds an edge measures."""

GPU_UTILIZATION: Final = "gpu.utilization"
REQUESTS: Final = "requests"
CUSTOM_METRICS: Final = (GPU_UTILIZATION, REQUESTS)
"""What :attr:`PodSample.custom` may hold: percent; requests a second."""


@dataclass(frozen=True, slots=True)
class NodeSample:
    """How busy a node is.

    Attributes:
        at: When it was told, seconds since the epoch.
        cpu: Processor use, 0 to 1 of the machine.
        memory: Memory in use, 0 to 1.
        disk: The data folder's disk in use, 0 to 1.
        rx_bytes_s: Received, bytes a second.
        tx_bytes_s: Sent, bytes a second.
        requests_s: Requests that its pods answer, per second.
        rtt_s: Smoothed round-trip time to it, seconds; None until measured.
        temperature_c: Its hottest sensor, degrees Celsius; None where there is none.
        gpu: Use of its graphics processors, 0 to 1; None where there are none.
    """

    at: float
    cpu: float
    memory: float
    disk: float
    rx_bytes_s: int
    tx_bytes_s: int
    requests_s: float
    rtt_s: float | None
    temperature_c: float | None
    gpu: float | None


@dataclass(frozen=True, slots=True)
class ContainerSample:
    """What a container uses.

    Attributes:
        cpu_milli: Thousandths of a processor.
        memory_bytes: Memory in use.
    """

    cpu_milli: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class PodSample:
    """What a pod uses.

    Attributes:
        at: When its node last told of its use, seconds since the epoch.
        containers: By name; those that are measured.
        custom: What the pod tells of itself, by :data:`CUSTOM_METRICS`.
    """

    at: float
    containers: Mapping[str, ContainerSample]
    custom: Mapping[str, float]

    @property
    def cpu_milli(self) -> int:
        """Thousandths of a processor, all containers together."""
        return sum(each.cpu_milli for each in self.containers.values())

    @property
    def memory_bytes(self) -> int:
        """Memory in use, all containers together."""
        return sum(each.memory_bytes for each in self.containers.values())


class Samples(Protocol):
    """Answers what is used. Calls are quick and may be made on the event loop."""

    def node(self, name: NodeName) -> NodeSample | None:
        """Return how busy a node is; None while it is not connected or has not told."""

    def pod(self, pod: Body) -> PodSample | None:
        """Return what a pod uses; None while its node is not connected or nothing of it is measured.

        Args:
            pod: The Pod object: its uid, node and containers' names say what to look for.
        """
