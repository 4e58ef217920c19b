from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.gate import Refusal, Verdict, Wait
from edgecore.scheduler.admission import Admission
from protocol.objects.keys import Body, Uid
from tests.support.admissions import ALLOCATABLE, a_claimant, a_gate

CRITICAL = 2_000_000_000


def reason(verdict: Verdict) -> str:
    return "" if verdict is None else verdict.reason


def admit(gate: Admission, *pods: Body) -> None:
    for pod in pods:
        assert gate.ask(pod) is None
        gate.check_invariants()


# Room


def test_the_kubelets_words_for_what_is_short() -> None:
    gate = a_gate()
    admit(gate, a_claimant("a", cpu="1500m"))
    figures = "requested: 600, used: 1500, capacity: 2000"
    message = f"Pod was rejected: Node didn't have enough resource: cpu, {figures}"
    assert gate.ask(a_claimant("b", cpu="600m")) == Refusal("OutOfcpu", message)
    assert gate.ask(a_claimant("c", cpu="500m")) is None


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"cpu": "2"}, ""),
        ({"cpu": "2001m"}, "OutOfcpu"),
        ({"memory": "2Gi"}, "OutOfmemory"),
        ({"ephemeral-storage": "1"}, "OutOfephemeral-storage"),
        ({"example.com/camera": "1"}, "OutOfexample.com/camera"),
        ({"example.com/camera": "0"}, ""),
    ],
)
def test_each_resource_and_unknown_ones(limits: dict[str, str], expected: str) -> None:
    assert reason(a_gate().ask(a_claimant("a", limits=limits))) == expected


def test_a_device_that_the_node_has() -> None:
    gate = a_gate(devices={"example.com/camera": 1})
    admit(gate, a_claimant("a", limits={"example.com/camera": "1"}))
    assert reason(gate.ask(a_claimant("b", limits={"example.com/camera": "1"}))) == "OutOfexample.com/camera"


def test_no_more_pods_than_the_node_takes() -> None:
    gate = a_gate(pods=2)
    admit(gate, a_claimant("a"), a_claimant("b"))
    assert reason(gate.ask(a_claimant("c"))) == "OutOfpods"
    gate.leave(Uid("a"))
    assert gate.ask(a_claimant("c")) is None


def test_init_containers_and_overhead_count() -> None:
    pod = a_claimant("a", cpu="100m", overhead={"cpu": "200m"})
    pod["spec"]["initContainers"] = [{"name": "i", "resources": {"requests": {"cpu": "1900m"}}}]
    refusal = a_gate().ask(pod)
    assert isinstance(refusal, Refusal)
    assert "requested: 2100" in refusal.message


def test_a_tier_is_charged_by_its_ceiling() -> None:
    gate = a_gate()
    admit(gate, a_claimant("a", cpu="1m", limits={"cpu": "2"}, sla="high"))
    assert gate.charged["cpu"] == 1800
    admit(gate, a_claimant("b", limits={"cpu": "240m"}, sla="medium"))
    assert reason(gate.ask(a_claimant("c", limits={"cpu": "1m"}, sla="low"))) == "OutOfcpu"


def test_host_ports_are_taken_once() -> None:
    def on_port(uid: str, **more: str) -> Body:
        pod = a_claimant(uid, **more)  # type: ignore[arg-type]
        pod["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 80}]
        return pod

    gate = a_gate()
    admit(gate, on_port("a"))
    refusal = gate.ask(on_port("b"))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "NodePorts"
    assert refusal.message.endswith("node(s) didn't have free ports for the requested pod ports")
    assert isinstance(gate.ask(on_port("c", on_full="queue")), Wait)
    assert gate.leave(Uid("a"))
    assert gate.ask(on_port("c", on_full="queue")) is None


def test_a_quantity_that_cannot_be_read_refuses_that_pod_only() -> None:
    assert reason(a_gate().ask(a_claimant("a", cpu="lots"))) == "UnexpectedAdmissionError"


def test_asking_again_counts_nothing_twice() -> None:
    gate = a_gate()
    for _ in range(3):
        admit(gate, a_claimant("a", cpu="1500m"))
    assert gate.charged == {"cpu": 1500, "pods": 1}
    gate.leave(Uid("a"))
    gate.leave(Uid("a"))
    assert gate.charged == {}


# The queue


def test_who_asks_to_wait_waits_and_gets_the_room_by_priority() -> None:
    gate = a_gate()
    admit(gate, a_claimant("a", cpu="2"))
    low = a_claimant("low", cpu="1", on_full="queue")
    high = a_claimant("high", cpu="1500m", on_full="queue", priority=5)
    verdict = gate.ask(low)
    assert isinstance(verdict, Wait)
    assert verdict.message == "Node didn't have enough resource: cpu, requested: 1000, used: 2000, capacity: 2000"
    assert isinstance(gate.ask(high), Wait)
    assert gate.queue() == ["high", "low"]
    assert gate.leave(Uid("a"))
    assert isinstance(gate.ask(low), Wait), "it asked first, but it is not its turn"
    assert gate.ask(high) is None
    assert isinstance(gate.ask(low), Wait)
    assert gate.leave(Uid("high"))
    assert gate.ask(low) is None


def test_nobody_of_lower_rank_gets_in_the_way_of_who_waits() -> None:
    gate = a_gate()
    admit(gate, a_claimant("a", cpu="1500m"))
    assert isinstance(gate.ask(a_claimant("waits", cpu="1", on_full="queue", priority=5)), Wait)
    assert reason(gate.ask(a_claimant("small", cpu="100m"))) == "OutOfcpu", "or who waits might wait for ever"
    assert gate.ask(a_claimant("other", limits={"memory": "64Mi"})) is None, "it wants nothing of what is short"
    assert gate.ask(a_claimant("above", cpu="100m", priority=6)) is None


def test_who_could_never_fit_does_not_wait() -> None:
    assert reason(a_gate().ask(a_claimant("a", cpu="3", on_full="queue"))) == "OutOfcpu"
    assert a_gate().queue() == []


def test_who_is_not_wanted_any_more_leaves_the_queue() -> None:
    gate = a_gate()
    admit(gate, a_claimant("a", cpu="1500m"))
    gate.ask(a_claimant("first", cpu="1", on_full="queue", priority=5))
    gate.ask(a_claimant("second", cpu="500m", on_full="queue"))
    assert gate.leave(Uid("first"))
    assert gate.ask(a_claimant("second", cpu="500m", on_full="queue")) is None


# Preemption


def victims(verdict: Verdict) -> list[str]:
    assert isinstance(verdict, Wait)
    return sorted(verdict.victims)


def test_who_asks_to_preempt_ends_the_lowest_and_no_more_than_it_takes() -> None:
    gate = a_gate()
    admit(
        gate,
        a_claimant("big", cpu="1", priority=1),
        a_claimant("mid", cpu="600m", priority=2),
        a_claimant("small", cpu="400m", priority=1, created="2026-11-23T13:00:00Z"),
    )
    comer = a_claimant("comer", cpu="900m", priority=5, on_full="preempt")
    assert victims(gate.ask(comer)) == ["big"]
    assert victims(gate.ask(comer)) == [], "it is leaving already"
    gate.leave(Uid("big"))
    assert gate.ask(comer) is None


@pytest.mark.parametrize(
    "spec", [{"priority": 1}, {"priority": 0}, {"priority": 5, "preemptionPolicy": "Never"}], ids=str
)
def test_equals_are_not_preempted_and_never_means_never(spec: dict[str, Any]) -> None:
    gate = a_gate()
    admit(gate, a_claimant("a", cpu="2", priority=1))
    assert victims(gate.ask(a_claimant("b", cpu="1", on_full="preempt", **spec))) == []
    assert gate.queue() == ["b"]


def test_of_equal_priority_besteffort_goes_first_then_the_youngest() -> None:
    gate = a_gate(pods=3)
    admit(
        gate,
        a_claimant("old", cpu="1m"),
        a_claimant("young", cpu="1m", created="2026-11-23T13:00:00Z"),
        a_claimant("free"),
    )
    assert victims(gate.ask(a_claimant("x", priority=1, on_full="preempt"))) == ["free"]
    assert victims(gate.ask(a_claimant("y", priority=1, on_full="preempt"))) == ["young"]


def test_a_critical_pod_preempts_unasked_and_never_another_critical_one() -> None:
    gate = a_gate()
    admit(gate, a_claimant("plain", cpu="2", priority=1000))
    assert victims(gate.ask(a_claimant("c1", cpu="2", priority=CRITICAL))) == ["plain"]
    gate.leave(Uid("plain"))
    admit(gate, a_claimant("c1", cpu="2", priority=CRITICAL))
    assert reason(gate.ask(a_claimant("c2", cpu="1", priority=CRITICAL + 1000))) == "OutOfcpu"
    assert gate.queue() == []


def test_nobody_is_preempted_in_vain() -> None:
    gate = a_gate()
    admit(gate, a_claimant("low", cpu="500m"), a_claimant("high", cpu="1500m", priority=9))
    assert victims(gate.ask(a_claimant("b", cpu="1", priority=5, on_full="preempt"))) == []


# Restarts


def test_who_runs_stays_whatever_the_sums_say() -> None:
    gate = a_gate()
    assert gate.adopt(a_claimant("a", cpu="2"), running=True) is None
    assert gate.adopt(a_claimant("b", cpu="2"), running=True) is None
    assert reason(gate.ask(a_claimant("c", cpu="1"))) == "OutOfcpu"


def test_on_a_smaller_node_who_runs_is_judged_too() -> None:
    gate = a_gate(smaller=True)
    assert gate.adopt(a_claimant("a", cpu="2"), running=True) is None
    assert reason(gate.adopt(a_claimant("b", cpu="1", on_full="queue"), running=True)) == "OutOfcpu"
    assert isinstance(gate.adopt(a_claimant("c", cpu="1", on_full="queue"), running=False), Wait)


def test_who_runs_comes_first_then_who_had_begun_then_who_is_new() -> None:
    def order(*, smaller: bool) -> list[str]:
        gate = a_gate(smaller=smaller)
        pods = {
            "new": (a_claimant("new", priority=9), False, False),
            "begun": (a_claimant("begun", priority=5), True, False),
            "runs": (a_claimant("runs"), True, True),
        }
        ranks = {name: gate.rank(pod, admitted=began, running=runs) for name, (pod, began, runs) in pods.items()}
        return sorted(pods, key=lambda name: ranks[name])

    assert order(smaller=False) == ["runs", "begun", "new"]
    assert order(smaller=True) == ["begun", "runs", "new"]


def test_affinity_is_not_judged_again() -> None:
    assert a_gate().adopt(a_claimant("a", os={"name": "windows"}), running=False) is None


# Properties

POD = st.builds(
    lambda number, cpu, priority, on_full, sla, critical: a_claimant(
        f"p{number}",
        limits={"cpu": f"{cpu}m"},
        priority=CRITICAL + priority if critical else priority,
        on_full=on_full,
        sla=sla,
        created=f"2026-11-23T12:{number % 60:02}:00Z",
    ),
    st.integers(0, 40),
    st.integers(0, 2500),
    st.integers(0, 3),
    st.sampled_from(["", "queue", "preempt"]),
    st.sampled_from(["", "high", "medium", "low"]),
    st.sampled_from([False, False, False, True]),
)


@given(st.lists(st.one_of(POD, st.integers(0, 60)), max_size=60))
def test_never_more_than_allocatable_and_turns_by_rank(steps: list[Body | int]) -> None:
    gate, pods, ended = a_gate(), dict[str, Body](), set[str]()
    for step in steps:
        if isinstance(step, int):
            if pods:
                uid = sorted(pods)[step % len(pods)]
                del pods[uid]
                gate.leave(Uid(uid))
                ended.add(uid)
                _give_turns(gate, pods)
        elif (uid := step["metadata"]["uid"]) not in ended | pods.keys():
            pods[uid] = step
            _take(gate, pods, uid)
            _give_turns(gate, pods)
        gate.check_invariants()
        assert all(amount <= ALLOCATABLE[name] for name, amount in gate.charged.items())


def _take(gate: Admission, pods: dict[str, Body], uid: str) -> None:
    verdict = gate.ask(pods[uid])
    if isinstance(verdict, Refusal):
        del pods[uid]
    for victim in verdict.victims if isinstance(verdict, Wait) else ():
        assert pods[victim]["spec"]["priority"] < max(pods[uid]["spec"]["priority"], 1)
        del pods[victim]
        gate.leave(victim)


def _give_turns(gate: Admission, pods: dict[str, Body]) -> None:
    """Ask for all that wait until nothing changes; then the first that waits must be one without room."""
    before = None
    while before != (before := list(gate.queue())):
        for uid in before:
            if uid in gate.queue():
                _take(gate, pods, uid)
    charged = gate.charged.get("cpu", 0)
    for uid in before[:1]:
        assert gate.charged.get("pods", 0) == 10 or charged + _charge(gate, pods[uid]) > 2000


def _charge(gate: Admission, pod: Body) -> int:
    alone = a_gate()
    alone.ask(pod)
    return alone.charged.get("cpu", 0)


@given(st.lists(POD, max_size=25, unique_by=lambda pod: pod["metadata"]["uid"]), st.booleans())
def test_a_restart_gives_the_same_plan(pods: list[Body], running: bool) -> None:
    first = a_gate()
    known = {pod["metadata"]["uid"]: pod for pod in pods}
    for pod in pods:
        if pod["metadata"]["uid"] in known:
            _take(first, known, pod["metadata"]["uid"])
            _give_turns(first, known)
    waiting = list(first.queue())
    there = {uid for uid in known if uid not in waiting}
    second = a_gate()

    def rank(pod: Body) -> tuple[object, ...]:
        began = pod["metadata"]["uid"] in there
        return second.rank(pod, admitted=began, running=began and running)

    for pod in sorted(known.values(), key=rank):
        if pod["metadata"]["uid"] in there:
            assert second.adopt(pod, running=running) is None
        else:
            assert isinstance(second.ask(pod), Wait)
    assert (second.charged, second.queue()) == (first.charged, first.queue())
