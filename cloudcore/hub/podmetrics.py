"""``metrics.k8s.io`` for pods: what containers use, as their nodes told. Computed when asked, never stored."""

from __future__ import annotations

from collections.abc import Iterable

from cloudcore.hub.nodemetrics import API_VERSION
from cloudcore.samples import WINDOW_S, PodSample, Samples
from cloudcore.store.base import Record
from protocol.objects.keys import Body
from protocol.objects.times import timestamp


def pod_metrics(pods: Iterable[Record], samples: Samples) -> list[Body]:
    """Return a PodMetrics object for each of ``pods`` of which a container is measured."""
    measured = []
    for record in pods:
        pod = record.decode()
        sample = samples.pod(pod)
        if sample is not None and sample.containers:
            measured.append(_metrics(pod, sample))
    return measured


def _metrics(pod: Body, sample: PodSample) -> Body:
    metadata = pod["metadata"]
    at = timestamp(sample.at)
    shown = {"name": metadata["name"], "namespace": metadata["namespace"], "creationTimestamp": at}
    usages = sample.containers.items()
    return {
        "apiVersion": API_VERSION,
        "kind": "PodMetrics",
        "metadata": shown | ({"labels": metadata["labels"]} if metadata.get("labels") else {}),
        "timestamp": at,
        "window": f"{WINDOW_S:g}s",
        "containers": [
            {"name": name, "usage": {"cpu": f"{used.cpu_milli}m", "memory": f"{used.memory_bytes >> 10}Ki"}}
            for name, used in usages
        ],
    }
