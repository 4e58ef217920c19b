"""The pods machine behind a gate: what is refused, what waits, what makes room, and all of it over restarts."""

from __future__ import annotations

from random import Random

from edgecore.pods.events import PodApplied, PodRemoved, StartContainer
from edgecore.pods.gate import CONDITION, Wait, shown, was_admitted
from edgecore.pods.machine import PodsMachine
from edgecore.scheduler.admission import Admission
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body, Uid
from tests.support.admissions import a_claimant, a_gate
from tests.support.podbenches import Bench
from tests.support.pods import deleted

AT = "2026-11-23T12:00:00Z"
CRITICAL = 2_000_000_000


def a_bench(*pods: Body, gate: Admission | None = None) -> Bench:
    """Return a booted bench on a node with two cores."""
    bench = Bench(PodsMachine("10.0.0.7", Random(1), gate or a_gate()), kills_work=True)
    bench.boot(*pods)
    return bench


def restart(bench: Bench, *pods: Body, gate: Admission | None = None) -> None:
    """Let another agent take over."""
    bench.machine = PodsMachine("10.0.0.7", Random(1), gate or a_gate())
    bench.log.clear()
    bench.boot(*pods)


def power_cut(bench: Bench, *pods: Body, gate: Admission | None = None) -> None:
    """Let everything end, and another agent come up."""
    bench.states.clear()
    restart(bench, *pods, gate=gate)


def phases(bench: Bench) -> dict[str, str]:
    return {uid: f"{status['phase']} {status.get('reason', '')}".strip() for uid, status in bench.statuses.items()}


def running(bench: Bench) -> list[str]:
    return [str(state.id.pod) for state in bench.states.values() if state.exit is None]


def queued(bench: Bench, uid: str) -> Body:
    condition = find_condition(bench.statuses[uid]["conditions"], CONDITION)
    assert condition is not None
    return condition


def test_a_pod_without_room_fails_and_nothing_of_it_is_begun() -> None:
    bench = a_bench(a_claimant("a", cpu="1500m"))
    bench.tell(PodApplied(a_claimant("b", cpu="1")))
    assert phases(bench) == {"a": "Running", "b": "Failed OutOfcpu"}
    assert bench.statuses["b"]["message"].startswith("Pod was rejected: Node didn't have enough resource: cpu")
    assert running(bench) == ["a"]
    assert "OutOfcpu" in bench.reasons()


def test_a_refusal_is_for_good_over_restarts() -> None:
    a, b = a_claimant("a", cpu="1500m"), a_claimant("b", cpu="1")
    bench = a_bench(a, b)
    restart(bench, b)
    bench.pass_time(31)
    assert running(bench) == []
    assert phases(bench)["b"] == "Failed OutOfcpu"


def test_a_pod_that_waits_begins_when_another_has_ended() -> None:
    a, b = a_claimant("a", cpu="1500m", restartPolicy="Never"), a_claimant("b", cpu="1", on_full="queue")
    bench = a_bench(a, b)
    assert phases(bench)["b"] == "Pending"
    assert bench.statuses["b"]["containerStatuses"] == []
    assert queued(bench, "b")["status"] == "False"
    assert queued(bench, "b")["reason"] == "OutOfcpu"
    assert bench.reasons().count("Queued") == 1
    bench.exit(uid="a")
    assert phases(bench) == {"a": "Succeeded", "b": "Running"}
    assert queued(bench, "b")["status"] == "True"


def test_a_deleted_pod_keeps_its_room_until_nothing_of_it_runs() -> None:
    a, b = a_claimant("a", cpu="2"), a_claimant("b", cpu="1", on_full="queue")
    bench = a_bench(a, b)
    bench.tell(PodApplied(deleted(a)))
    assert running(bench) == ["a"]
    bench.pass_time(31)
    assert running(bench) == ["b"]


def test_a_pod_that_waits_can_be_deleted() -> None:
    a, b = a_claimant("a", cpu="2"), a_claimant("b", cpu="1", on_full="queue")
    bench = a_bench(a, b)
    bench.tell(PodRemoved(Uid("b")))
    bench.exit(uid="a", code=1)
    assert "b" not in running(bench)
    assert bench.machine.get(Uid("b")) is None


def test_a_successor_of_one_name_is_judged_when_the_first_has_gone() -> None:
    first, second = a_claimant("first", cpu="2"), a_claimant("second", cpu="2")
    for pod in (first, second):
        pod["metadata"]["name"] = "web"
    bench = a_bench(first)
    bench.tell(PodRemoved(Uid("first")), PodApplied(second))
    assert running(bench) == ["first"]
    bench.pass_time(31)
    assert running(bench) == ["second"]


def test_preemption_ends_the_victim_first_with_its_grace() -> None:
    bench = a_bench(a_claimant("low", cpu="2"))
    bench.tell(PodApplied(a_claimant("high", cpu="1", priority=5, on_full="preempt")))
    assert running(bench) == ["low"]
    assert ("main", 15) in bench.signals()
    bench.pass_time(31)
    assert running(bench) == ["high"]
    assert phases(bench)["low"] == "Failed Preempting"
    assert bench.statuses["low"]["message"] == "Preempted in order to admit pod default/high"
    disrupted = find_condition(bench.statuses["low"]["conditions"], "DisruptionTarget")
    assert disrupted is not None
    assert disrupted["status"] == "True"


def test_an_agent_that_dies_while_it_makes_room_is_followed_by_one_that_goes_on() -> None:
    low, high = a_claimant("low", cpu="2"), a_claimant("high", cpu="1", priority=5, on_full="preempt")
    bench = a_bench(low)
    bench.tell(PodApplied(high))
    restart(bench, low, high)
    assert phases(bench)["high"] == "Pending"
    bench.pass_time(31)
    assert running(bench) == ["high"]
    assert phases(bench)["low"] == "Failed Preempting"


def test_a_critical_pod_takes_the_room() -> None:
    bench = a_bench(a_claimant("plain", cpu="2"))
    bench.tell(PodApplied(a_claimant("system", cpu="1", priority=CRITICAL)))
    bench.pass_time(31)
    assert running(bench) == ["system"]


def test_pods_start_in_order_of_priority_when_the_agent_comes_up() -> None:
    pods = [a_claimant(f"p{number}", cpu="10m", priority=number % 4) for number in range(8)]
    bench = a_bench(*pods)
    started = [str(one.container.pod) for one in bench.log if isinstance(one, StartContainer)]
    assert started == ["p3", "p7", "p2", "p6", "p1", "p5", "p0", "p4"]


def test_what_runs_is_never_refused_when_the_agent_restarts() -> None:
    a, b = a_claimant("a", cpu="1500m"), a_claimant("b", cpu="1500m", priority=5)
    bench = a_bench(a, b, gate=a_gate(cpu=4000))
    restart(bench, a, b, gate=a_gate(cpu=2000))
    assert phases(bench) == {"a": "Running", "b": "Running"}


def test_after_a_reboot_with_less_the_highest_stay_and_who_may_wait_waits() -> None:
    pods = [
        a_claimant("young", cpu="1", created="2026-11-23T13:00:00Z"),
        a_claimant("old", cpu="1"),
        a_claimant("high", cpu="1", priority=5),
        a_claimant("patient", cpu="1", on_full="queue", created="2026-11-23T11:00:00Z"),
    ]
    bench = a_bench(*pods, gate=a_gate(cpu=4000))
    assert sorted(running(bench)) == ["high", "old", "patient", "young"]
    power_cut(bench, *pods, gate=a_gate(smaller=True))
    assert sorted(running(bench)) == ["high", "patient"]
    assert phases(bench) == {
        "high": "Running",
        "patient": "Running",
        "old": "Failed OutOfcpu",
        "young": "Failed OutOfcpu",
    }


def test_after_a_reboot_with_less_who_waits_begins_when_a_higher_one_has_ended() -> None:
    high = a_claimant("high", cpu="1500m", priority=5, restartPolicy="Never")
    low = a_claimant("low", cpu="1500m", on_full="queue")
    bench = a_bench(high, low, gate=a_gate(cpu=4000))
    power_cut(bench, high, low, gate=a_gate(smaller=True))
    assert running(bench) == ["high"]
    assert phases(bench)["low"] == "Pending"
    power_cut(bench, high, low, gate=a_gate())
    assert running(bench) == ["high"]
    bench.exit(uid="high")
    assert running(bench) == ["low"]


def test_an_agent_that_restarts_on_a_smaller_node_ends_what_has_no_room() -> None:
    a, b = a_claimant("a", cpu="1500m"), a_claimant("b", cpu="1500m", priority=5)
    bench = a_bench(a, b, gate=a_gate(cpu=4000))
    restart(bench, a, b, gate=a_gate(smaller=True))
    bench.pass_time(31)
    assert running(bench) == ["b"]
    assert phases(bench)["a"] == "Failed OutOfcpu"


def test_who_had_begun_keeps_its_place_before_a_newcomer_of_higher_priority() -> None:
    a, b = a_claimant("a", cpu="2"), a_claimant("b", cpu="2", priority=5)
    bench = a_bench(a)
    power_cut(bench, a, b)
    assert phases(bench) == {"a": "Running", "b": "Failed OutOfcpu"}


def test_a_pod_that_waited_is_known_to_have_waited() -> None:
    conditions = shown([], Wait("OutOfcpu", "no room"), AT)
    assert not was_admitted({"conditions": conditions})
    assert was_admitted({"conditions": shown(conditions, None, AT)})
    assert was_admitted({"phase": "Running"})
    assert not was_admitted({})
    assert shown([], None, AT) == []


def test_nothing_is_said_of_the_containers_of_a_pod_that_was_refused() -> None:
    bench = a_bench(a_claimant("a", cpu="3"))
    assert bench.statuses["a"]["containerStatuses"] == []
