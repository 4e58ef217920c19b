from __future__ import annotations

from dataclasses import replace

import pytest

from edgecore.node.facts import Facts
from edgecore.node.sampler import Sample
from edgecore.node.status import Allotment, conditions_of, node_status, runtime_condition
from protocol.objects.conditions import find_condition, is_true
from protocol.objects.quantities import parse_quantity

GIB = 1 << 30
FACTS = Facts("pi", ("192.0.2.7",), "machine", "boot", "6.1", "Debian", "arm64", 4, 4 * GIB, 32 * GIB)
HEALTHY = Sample(0.1, 4 * GIB, 3 * GIB, 32 * GIB, 20 * GIB, 100, 32768, 0.0, 0.0)
NOW = 1_700_000_000.0


def test_a_healthy_node_is_ready_and_under_no_pressure() -> None:
    conditions = conditions_of(HEALTHY, [], NOW)
    assert is_true(conditions, "Ready")
    assert not any(is_true(conditions, kind) for kind in ("MemoryPressure", "DiskPressure", "PIDPressure"))
    assert {each["lastTransitionTime"] for each in conditions} == {"2023-11-14T22:13:20Z"}


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        (replace(HEALTHY, memory_available_bytes=50 << 20), "MemoryPressure"),
        (replace(HEALTHY, disk_free_bytes=GIB), "DiskPressure"),
        (replace(HEALTHY, processes=32000), "PIDPressure"),
    ],
)
def test_each_shortage_has_its_condition(sample: Sample, kind: str) -> None:
    conditions = conditions_of(sample, [], NOW)
    assert [each["type"] for each in conditions if each["status"] == "True"] == [kind, "Ready"]


def test_pressure_ends_later_than_it_begins() -> None:
    short = conditions_of(replace(HEALTHY, memory_available_bytes=99 << 20), [], NOW)
    still = conditions_of(replace(HEALTHY, memory_available_bytes=105 << 20), short, NOW + 10)
    over = conditions_of(replace(HEALTHY, memory_available_bytes=120 << 20), still, NOW + 20)
    assert [is_true(each, "MemoryPressure") for each in (short, still, over)] == [True, True, False]


def test_a_condition_that_holds_keeps_its_transition_time() -> None:
    first = conditions_of(HEALTHY, [], NOW)
    assert conditions_of(HEALTHY, first, NOW + 500) == first


def test_the_status_has_what_kubectl_and_the_scheduler_read() -> None:
    allotment = Allotment(max_pods=20, runtimes=("process",), version="1.2")
    status = node_status(FACTS, allotment, conditions_of(HEALTHY, [], NOW), NOW + 60)
    assert status["capacity"]["cpu"] == "4"
    assert status["capacity"]["pods"] == status["allocatable"]["pods"] == "20"
    assert parse_quantity(status["capacity"]["memory"]) == 4 * GIB
    assert parse_quantity(status["allocatable"]["memory"]) == 4 * GIB - (100 << 20)
    assert parse_quantity(status["allocatable"]["ephemeral-storage"]) < 32 * GIB
    assert status["addresses"] == [
        {"type": "InternalIP", "address": "192.0.2.7"},
        {"type": "Hostname", "address": "pi"},
    ]
    assert status["nodeInfo"]["kubeletVersion"] == "v1.33.0-aiokubeedge-1.2"
    assert status["nodeInfo"]["containerRuntimeVersion"] == "process://1.2"
    ready = find_condition(status["conditions"], "Ready")
    assert ready is not None
    assert ready["lastHeartbeatTime"] == "2023-11-14T22:14:20Z"
    assert ready["lastTransitionTime"] == "2023-11-14T22:13:20Z"


def test_the_node_lists_its_runtimes_and_the_default_one_without_a_name() -> None:
    status = node_status(FACTS, Allotment(runtimes=("docker", "process")), [], NOW)
    assert status["runtimeHandlers"] == [{"name": ""}, {"name": "docker"}, {"name": "process"}]


@pytest.mark.parametrize(
    ("troubles", "status", "message"),
    [
        ({"docker": ""}, "True", "every runtime answers"),
        ({"docker": "nobody answers"}, "False", "docker: nobody answers"),
        ({"docker": "gone", "other": "", "also": "too"}, "False", "also: too; docker: gone"),
    ],
)
def test_what_is_wrong_with_runtimes(troubles: dict[str, str], status: str, message: str) -> None:
    condition = runtime_condition(troubles)
    assert (condition["type"], condition["status"], condition["message"]) == ("RuntimesReady", status, message)
