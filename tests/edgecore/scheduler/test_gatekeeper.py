from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgecore.metrics.exposition import written
from edgecore.node.facts import Facts
from edgecore.node.status import Allotment, node_status
from edgecore.pods.gate import Refusal, Wait
from edgecore.scheduler.gatekeeper import ROOM, admission_families, gatekeeper, is_smaller, room_condition
from protocol.objects.keys import Uid
from tests.support.admissions import a_claimant, a_gate
from tests.support.pods import FakeDesired

FACTS = Facts("e1", ("10.0.0.7",), "m", "b", "6.1", "Debian", "amd64", cpus=2, memory_bytes=1 << 30, disk_bytes=1 << 33)
ALLOTMENT = Allotment(runtimes=("process", "docker"))


def has(kind: str, name: str, **fields: Any) -> FakeDesired:
    desired = FakeDesired()
    desired.put(kind, {"metadata": {"name": name, "uid": "x"}, **fields})
    return desired


def test_what_is_allocatable_is_what_the_node_tells_the_cloud() -> None:
    gate = gatekeeper("e1", FakeDesired(), FACTS, ALLOTMENT, {})
    told = node_status(FACTS, ALLOTMENT, (), 0.0)["allocatable"]
    assert gate.allocatable["cpu"] == 2000
    assert gate.allocatable["memory"] == int(told["memory"].removesuffix("Ki")) << 10
    assert gate.allocatable["pods"] == 110


@pytest.mark.parametrize(("cpus", "stays"), [(2, True), (1, False), (4, True)])
def test_a_node_is_smaller_when_it_told_of_more_before(cpus: int, stays: bool) -> None:
    before = node_status(FACTS, ALLOTMENT, (), 0.0)
    gate = gatekeeper("e1", FakeDesired(), replace(FACTS, cpus=cpus), ALLOTMENT, before)
    assert gate.adopt(a_claimant("a", cpu="1"), running=True) is None
    assert (gate.adopt(a_claimant("b", cpu="1"), running=True) is None) is stays


def test_what_was_not_told_of_before_is_no_less() -> None:
    assert not is_smaller({"cpu": 1000, "pods": 1}, {"cpu": 1000})
    assert is_smaller({"cpu": 1000}, {"cpu": 1000, "pods": 1})


def test_the_node_object_is_looked_at_when_a_pod_is_judged() -> None:
    desired = FakeDesired()
    gate = gatekeeper("e1", desired, FACTS, ALLOTMENT, {})
    assert gate.ask(a_claimant("a", nodeSelector={"zone": "east"})) is None, "it has not come yet"
    desired.put("nodes", {"metadata": {"name": "e1", "labels": {"zone": "west"}}})
    refusal = gate.ask(a_claimant("b", nodeSelector={"zone": "east"}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "NodeAffinity"


@pytest.mark.parametrize(("handler", "refused"), [("process", False), ("docker", False), ("runsc", True)])
def test_a_runtime_class_is_judged_by_its_handler_once_it_is_known(handler: str, refused: bool) -> None:
    gate = gatekeeper("e1", has("runtimeclasses.node.k8s.io", "boxed", handler=handler), FACTS, ALLOTMENT, {})
    assert (gate.ask(a_claimant("a", runtimeClassName="boxed")) is not None) is refused
    assert gate.ask(a_claimant("b", runtimeClassName="unknown")) is None


def test_the_node_says_who_waits() -> None:
    gate = a_gate()
    assert room_condition(gate, waited=False) is None
    gate.ask(a_claimant("a", cpu="1500m"))
    assert isinstance(gate.ask(a_claimant("b", cpu="1", on_full="queue")), Wait)
    told = room_condition(gate, waited=False)
    assert told is not None
    assert (told["type"], told["status"], told["reason"]) == (ROOM, "False", "PodsWait")
    assert told["message"].startswith("1 pods wait for room; charged are cpu 1.5 of 2, ")
    gate.leave(Uid("b"))
    told = room_condition(gate, waited=False)
    assert told is not None
    assert told["status"] == "True"


def test_metrics() -> None:
    gate = a_gate()
    gate.ask(a_claimant("a", cpu="1500m"))
    gate.ask(a_claimant("b", cpu="1", on_full="queue"))
    text = written(admission_families(gate))
    assert 'aiokubeedge_edge_charged{resource="cpu"} 1.5' in text
    assert 'aiokubeedge_edge_allocatable{resource="cpu"} 2' in text
    assert "aiokubeedge_edge_queued_pods 1" in text
