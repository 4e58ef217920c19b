from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from edgecore.metrics import podmeter
from edgecore.metrics.exposition import Summary
from edgecore.metrics.podfamilies import pod_families
from edgecore.metrics.podmeter import STALE_S, PodMeter
from edgecore.metrics.usage import ContainerUsage, PodNetwork, Usage
from protocol.objects.keys import Uid
from protocol.samples import Metric, reading_field

WEB, DB = Uid("web"), Uid("db")


def used(
    cpu_s: float, memory: int = 4 << 20, *, pod: Uid = WEB, name: str = "c", instance: str = "0"
) -> ContainerUsage:
    return ContainerUsage(pod, name, instance, cpu_s, memory)


def reading(meter: PodMeter, pod: Uid, container: str, metric: Metric) -> int | None:
    return meter.readings().get(reading_field(pod, container, metric))


def test_a_container_is_known_from_its_second_look_on() -> None:
    meter = PodMeter()
    meter.take_usage([Usage([used(100.0)])], 0.0)
    assert meter.readings() == {}
    meter.take_usage([Usage([used(102.5)])], 10.0)
    assert reading(meter, WEB, "c", Metric.CPU) == 250
    assert reading(meter, WEB, "c", Metric.MEMORY) == 4096


def test_a_container_that_was_restarted_begins_anew_and_one_that_ended_is_gone() -> None:
    meter = PodMeter()
    for now, container in ((0.0, used(100.0)), (10.0, used(101.0)), (20.0, used(0.5, instance="1"))):
        meter.take_usage([Usage([container])], now)
    assert meter.readings() == {}
    meter.take_usage([Usage([used(1.5, instance="1")])], 30.0)
    assert reading(meter, WEB, "c", Metric.CPU) == 100
    meter.take_usage([Usage()], 40.0)
    assert meter.readings() == {}


def test_containers_of_several_runtimes_are_kept_apart() -> None:
    meter = PodMeter()
    for now in (0.0, 10.0):
        meter.take_usage([Usage([used(now)]), Usage([used(now / 2, pod=DB), used(0.0, pod=DB, name="side")])], now)
    cpus = [reading(meter, uid, name, Metric.CPU) for uid, name in ((WEB, "c"), (DB, "c"), (DB, "side"))]
    assert cpus == [1000, 500, 0]


def test_a_pod_with_a_network_of_its_own_has_its_traffic() -> None:
    meter = PodMeter()
    for now, received in ((0.0, 1000), (10.0, 51_000)):
        meter.take_usage([Usage(networks=[PodNetwork(WEB, "10.1.0.2", received, 100)])], now)
    assert reading(meter, WEB, "", Metric.RECEIVED) == 5000
    assert reading(meter, WEB, "", Metric.SENT) == 0


def test_requests_are_a_rate_and_graphics_what_was_told() -> None:
    meter = PodMeter()
    meter.take_summaries([WEB, DB], {WEB: Summary(100.0, 70.5), DB: Summary(None, 3.0)}, 0.0)
    assert reading(meter, WEB, "", Metric.REQUESTS) is None
    assert reading(meter, WEB, "", Metric.GPU) == 70_500
    meter.take_summaries([WEB], {WEB: Summary(225.0, None)}, 10.0)
    assert reading(meter, WEB, "", Metric.REQUESTS) == 12_500
    assert meter.requests_s == 12.5
    assert reading(meter, WEB, "", Metric.GPU) is None
    assert reading(meter, DB, "", Metric.GPU) is None  # it offers nothing any more


def test_an_endpoint_that_misses_an_answer_goes_on_where_it_was_until_it_is_stale() -> None:
    meter = PodMeter()
    for now, count in ((0.0, 0.0), (10.0, 50.0)):
        meter.take_summaries([WEB], {WEB: Summary(count)}, now)
    meter.take_summaries([WEB], {}, 20.0)
    assert meter.requests_s == 5.0
    meter.take_summaries([WEB], {WEB: Summary(250.0)}, 30.0)
    assert meter.requests_s == 10.0  # over both windows
    meter.take_summaries([WEB], {}, 30.0 + STALE_S)
    assert meter.requests_s == 0.0
    assert meter.readings() == {}


def test_an_endpoint_that_began_anew_is_no_burst() -> None:
    meter = PodMeter()
    for now, count in ((0.0, 1e9), (10.0, 30.0)):
        meter.take_summaries([WEB], {WEB: Summary(count)}, now)
    assert meter.requests_s == 3.0


def test_where_two_share_a_number_the_first_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podmeter, "reading_field", lambda uid, name, metric: (1 << 31) | metric)
    meter = PodMeter()
    for now in (0.0, 10.0):
        meter.take_usage([Usage([used(now), used(now * 2, pod=DB)])], now)
    assert meter.readings() == {1 << 31: 1000, (1 << 31) + 1: 4096}


def test_marks_of_a_full_node_are_apart() -> None:
    marks = [reading_field(Uid(f"uid-{number}"), "main", Metric.CPU) for number in range(500)]
    assert all(one != other for one, other in combinations(marks, 2))


def test_pods_are_exported_by_their_names() -> None:
    meter = PodMeter()
    meter.take_usage([Usage([used(3.5), used(1.0, pod=DB)], [PodNetwork(WEB, "10.1.0.2", 7, 8)])], 0.0)
    pod: Any = {"metadata": {"name": "web-1", "namespace": "shop", "uid": WEB}}
    found = {family.name: list(family.samples) for family in pod_families(meter, [pod])}
    labels = {"namespace": "shop", "pod": "web-1"}
    assert found["container_cpu_usage_seconds_total"] == [(labels | {"container": "c"}, 3.5)]
    assert found["container_memory_working_set_bytes"] == [(labels | {"container": "c"}, 4 << 20)]
    assert found["container_network_receive_bytes_total"] == [(labels | {"interface": "eth0"}, 7)]
