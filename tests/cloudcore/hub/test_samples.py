from __future__ import annotations

import sys
from typing import Any

import pytest

from cloudcore.samples import GPU_UTILIZATION, REQUESTS, ContainerSample
from protocol.heartbeat import KELVIN, HeartbeatDecoder, HeartbeatEncoder, Load
from protocol.objects.keys import Body, NodeName, Uid
from protocol.samples import Metric, reading_field
from tests.support.clouds import Cloud, Edge, Holding, cloud, settle

pytestmark = pytest.mark.looptime


def readings_of(pod: Body, *, cpu: int = 250, memory_kib: int = 2048, **custom: int) -> dict[int, int]:
    uid = Uid(pod["metadata"]["uid"])
    readings = {
        reading_field(uid, "c", Metric.CPU): cpu,
        reading_field(uid, "c", Metric.MEMORY): memory_kib,
    }
    return readings | {reading_field(uid, "", Metric[name.upper()]): value for name, value in custom.items()}


async def beating(running: Cloud, name: str, load: Load, readings: dict[int, int] | None = None) -> Edge:
    edge = await running.connect(Holding(name))
    edge.heartbeat(HeartbeatEncoder().encode(load, readings))
    await settle(until=lambda: running.hub.sessions[NodeName(name)].load is not None)
    return edge


async def test_what_heartbeats_tell_is_what_is_used() -> None:
    async with cloud() as running:
        await running.add_node("edge-1")
        pod = await running.add_pod("web", "edge-1")
        load = Load(cpu=500, memory=250, temperature=KELVIN + 405, gpu=701, requests=12_500)
        await beating(running, "edge-1", load, readings_of(pod, gpu=70_500, requests=12_500))
        node = running.hub.samples.node(NodeName("edge-1"))
        assert node is not None
        assert (node.cpu, node.memory, node.temperature_c, node.gpu, node.requests_s) == (0.5, 0.25, 40.5, 0.7, 12.5)
        sample = running.hub.samples.pod(pod)
        assert sample is not None
        assert sample.containers == {"c": ContainerSample(250, 2 << 20)}
        assert sample.custom == {GPU_UTILIZATION: 70.5, REQUESTS: 12.5}
        assert (sample.cpu_milli, sample.memory_bytes) == (250, 2 << 20)


async def test_nothing_is_said_of_what_is_not_connected_or_not_measured() -> None:
    async with cloud() as running:
        await running.add_node("edge-1")
        measured, other = [await running.add_pod(name, "edge-1") for name in ("web", "other")]
        assert running.hub.samples.pod(measured) is None
        assert running.hub.samples.pod({"metadata": {"uid": "u"}, "spec": {"containers": []}}) is None
        assert running.hub.views.pod_metrics() == []
        edge = await beating(running, "edge-1", Load(cpu=1), readings_of(measured))
        assert running.hub.samples.pod(other) is None
        assert running.hub.samples.pod(measured) is not None
        edge.link.close(1001, "gone", running.clock.monotonic())
        edge.heartbeat()
        await settle(until=lambda: not running.hub.sessions)
        assert running.hub.samples.pod(measured) is None
        assert running.hub.samples.node(NodeName("edge-1")) is None


async def test_metrics_are_those_of_the_pods_that_are_measured() -> None:
    async with cloud() as running:
        await running.add_node("edge-1")
        web = await running.add_pod("web", "edge-1")
        await running.add_pod("other", "edge-1")
        only_custom = await running.add_pod("custom", "edge-1")
        gpu = {reading_field(Uid(only_custom["metadata"]["uid"]), "", Metric.GPU): 1000}
        await beating(running, "edge-1", Load(), readings_of(web) | gpu)
        [metrics] = running.hub.views.pod_metrics()
        assert metrics["metadata"]["name"] == "web"
        assert metrics["metadata"]["namespace"] == "default"
        assert metrics["window"] == "10s"
        assert metrics["timestamp"].endswith("Z")
        assert metrics["containers"] == [{"name": "c", "usage": {"cpu": "250m", "memory": "2048Ki"}}]
        views = running.hub.views
        assert views.pod_metrics("default", "web") == [metrics]
        assert views.pod_metrics("other") == views.pod_metrics("default", "other") == []
        [node] = views.node_metrics()
        assert (node["window"], node["timestamp"]) == (metrics["window"], metrics["timestamp"])


def test_what_a_node_s_samples_take_stays_small() -> None:
    """Thirty pods of one container, all measured: under a kilobyte, arrays' own overhead included."""
    readings = {
        reading_field(Uid(f"u{n}"), "c", metric): n for n in range(30) for metric in (Metric.CPU, Metric.MEMORY)
    }
    encoder, decoder = HeartbeatEncoder(), HeartbeatDecoder()
    for _ in range(3):
        decoder.decode(encoder.encode(Load(), readings))
    table: Any = decoder.readings
    assert len(table) == 60
    taken = sys.getsizeof(table) + sum(sys.getsizeof(getattr(table, slot)) for slot in table.__slots__)
    assert taken <= 1024
