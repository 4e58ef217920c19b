"""What pods use, for the device's Prometheus endpoint, under the names that cAdvisor gives them. Performs no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from edgecore.metrics.exposition import Family
from edgecore.metrics.podmeter import PodMeter
from edgecore.metrics.usage import ContainerUsage, PodNetwork
from protocol.objects.keys import Body, Uid


def pod_families(meter: PodMeter, pods: Iterable[Body]) -> Iterator[Family]:
    """Yield the pods' metrics.

    Args:
        meter: What was measured.
        pods: The pods that should run here, for their names.
    """
    named = {Uid(pod["metadata"]["uid"]): _labels_of(pod) for pod in pods}

    def labels(used: ContainerUsage) -> Mapping[str, str]:
        return named.get(used.pod, {}) | {"container": used.name}

    def of_pod(network: PodNetwork) -> Mapping[str, str]:
        return named.get(network.pod, {}) | {"interface": "eth0"}

    containers = [each for each in meter.containers if each.pod in named]
    networks = [each for each in meter.networks if each.pod in named]
    yield Family(
        "container_cpu_usage_seconds_total",
        "Processor time used.",
        [(labels(each), each.cpu_s) for each in containers],
        "counter",
    )
    yield Family(
        "container_memory_working_set_bytes",
        "Memory in use.",
        [(labels(each), each.memory_bytes) for each in containers],
    )
    for name, field in (("receive", "received_bytes"), ("transmit", "sent_bytes")):
        moved = [(of_pod(each), getattr(each, field)) for each in networks]
        yield Family(f"container_network_{name}_bytes_total", "Bytes over the pod's network.", moved, "counter")


def _labels_of(pod: Body) -> dict[str, str]:
    metadata = pod["metadata"]
    return {"namespace": metadata.get("namespace", ""), "pod": metadata["name"]}
