"""What is done when the node runs short, in Kubernetes' terms: tables and properties."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecore.pods.events import PodFailed, PodHeld
from edgecore.pods.holds import Hold
from edgecore.scheduler.eviction import CALM_LOOK_S, CLEANUP_S, URGENT_LOOK_S, Evictions, FreeDisk, refusal
from edgecore.scheduler.ladder import CALM_S, Ladder
from edgecore.scheduler.ranking import ContainerStat, DiskUse, PodStat, is_critical, ranked
from edgecore.scheduler.shortage import Reading, Shortages
from edgecore.thresholds import Signal, eviction_settings
from protocol.objects.keys import Body
from protocol.objects.qos import qos_class
from tests.support.examples import trying

MIB = 1 << 20
HARD = eviction_settings("memory.available<100Mi")
SHORT = {Signal.MEMORY: Reading(90 * MIB, 1000 * MIB)}
PLENTY = {Signal.MEMORY: Reading(900 * MIB, 1000 * MIB)}


def amounts(memory: int, cpu: str = "100m") -> dict[str, str]:
    return {"memory": f"{memory}Mi", "cpu": cpu}


def a_stat(name: str, used: int = 1, *, quality: str = "BestEffort", request: int = 10, **more: Any) -> PodStat:
    """Return a pod of a class that uses ``used`` MiB of memory and requests ``request``."""
    resources: Body = {}
    if quality == "Burstable":
        resources = {"requests": amounts(request)}
    elif quality == "Guaranteed":
        resources = {"requests": amounts(request), "limits": amounts(request)}
    metadata: Body = {"namespace": "default", "name": name, "uid": name, "annotations": more.pop("annotations", {})}
    spec: Body = {"containers": [{"name": "main", "resources": resources}], "priority": more.pop("priority", 0)}
    spec |= more.pop("spec", {})
    asked = request if quality != "BestEffort" else 0
    containers = (ContainerStat("main", used * MIB, asked * MIB),)
    return PodStat({"metadata": metadata, "spec": spec}, containers=containers, **more)


def order(signal: Signal, *stats: PodStat) -> list[str]:
    return [each.pod["metadata"]["name"] for each in ranked(signal, stats)]


def evicted(acts: list[Any]) -> list[str]:
    return [str(act.uid) for act in acts if isinstance(act, PodFailed)]


def held(acts: list[Any]) -> list[tuple[str, Hold]]:
    return [(str(act.uid), act.hold) for act in acts if isinstance(act, PodHeld)]


class TestOrder:
    def test_best_effort_goes_before_burstable_over_its_request_and_guaranteed_never(self) -> None:
        stats = [
            a_stat("guaranteed", 10, quality="Guaranteed"),
            a_stat("within", 5, quality="Burstable", request=10),
            a_stat("over", 500, quality="Burstable", request=10),
            a_stat("best-effort", 20),
        ]
        assert order(Signal.MEMORY, *stats) == ["best-effort", "over", "within"]

    def test_of_one_class_the_lower_priority_and_then_the_larger_excess_goes_first(self) -> None:
        stats = [
            a_stat("important", 900, quality="Burstable", priority=100),
            a_stat("small", 60, quality="Burstable"),
            a_stat("large", 100, quality="Burstable", request=20),
        ]
        assert order(Signal.MEMORY, *stats) == ["large", "small", "important"]

    def test_what_exceeds_nothing_comes_last_whatever_its_priority(self) -> None:
        stats = [
            a_stat("within", 5, quality="Burstable", priority=-10),
            a_stat("over", 50, quality="Burstable", priority=10),
        ]
        assert order(Signal.MEMORY, *stats) == ["over", "within"]

    def test_of_equals_the_low_tier_goes_first(self) -> None:
        assert order(Signal.MEMORY, a_stat("other", 20), a_stat("low", 10, sla="low")) == ["low", "other"]

    @pytest.mark.parametrize(
        "more",
        [
            {"priority": 2_000_000_000},
            {"annotations": {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "critical"}},
        ],
    )
    def test_critical_and_static_pods_are_never_chosen(self, more: dict[str, Any]) -> None:
        for signal in Signal:
            assert order(signal, a_stat("critical", 500, **more)) == []

    def test_nobody_is_spared_for_annotations_alone(self) -> None:
        said = {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "another"}
        assert order(Signal.MEMORY, a_stat("pretends", 500, annotations=said)) == ["pretends"]

    def test_for_disk_those_over_their_request_go_first_and_guaranteed_is_no_protection(self) -> None:
        request: Body = {"containers": [{"name": "main", "resources": {"requests": {"ephemeral-storage": "1Gi"}}}]}
        stats = [
            a_stat("within", disk=DiskUse(500 * MIB), spec=request),
            a_stat("guaranteed", quality="Guaranteed", disk=DiskUse(200 * MIB)),
            a_stat("larger", disk=DiskUse(300 * MIB)),
        ]
        assert order(Signal.NODEFS, *stats) == ["larger", "guaranteed", "within"]
        assert order(Signal.IMAGEFS, *stats) == ["larger", "guaranteed", "within"]

    def test_for_inodes_and_processes_it_is_priority_and_then_use(self) -> None:
        stats = [
            a_stat("few", pids=3, disk=DiskUse(inodes=3)),
            a_stat("many", pids=9, disk=DiskUse(inodes=9)),
            a_stat("important", pids=90, disk=DiskUse(inodes=90), priority=1),
        ]
        for signal in (Signal.PIDS, Signal.NODEFS_INODES):
            assert order(signal, *stats) == ["many", "few", "important"]


class TestEviction:
    def test_one_pod_at_a_time_and_its_end_is_waited_for(self) -> None:
        evictions = Evictions(HARD)
        first, second = a_stat("a", 200), a_stat("b", 100)
        assert evicted(evictions.look(SHORT, [first, second], 0.0)) == ["a"]
        assert evictions.next_look_s() == URGENT_LOOK_S
        ending = a_stat("a", 200, ending=True)
        assert evictions.look(SHORT, [ending, second], 1.0) == []
        assert evicted(evictions.look(SHORT, [second], 2.0)) == ["b"]

    def test_one_that_does_not_go_is_not_waited_for_for_ever(self) -> None:
        evictions = Evictions(HARD)
        evictions.look(SHORT, [a_stat("a", 200), a_stat("b")], 0.0)
        stuck = a_stat("a", 200, ending=True)
        assert evicted(evictions.look(SHORT, [stuck, a_stat("b")], CLEANUP_S)) == ["b"]

    def test_it_is_said_as_the_kubelet_says_it(self) -> None:
        stat = a_stat("a", 150, quality="Burstable", request=100)
        (act,) = Evictions(HARD).look(SHORT, [stat], 0.0)
        assert isinstance(act, PodFailed)
        assert (act.reason, act.grace_s, act.disruption) == ("Evicted", 0.0, True)
        assert act.message == (
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
            "Container main was using 150Mi, request is 100Mi, has larger consumption of memory. "
        )

    def test_a_soft_threshold_waits_for_its_grace_period_and_gives_pods_time(self) -> None:
        soft = eviction_settings("none", "memory.available<100Mi", "memory.available=30s", max_grace_s=20)
        evictions = Evictions(soft)
        assert evictions.look(SHORT, [a_stat("a", 5)], 0.0) == []
        assert evictions.conditions == {"MemoryPressure"}
        assert evictions.look(SHORT, [a_stat("a", 5)], 29.0) == []
        (act,) = evictions.look(SHORT, [a_stat("a", 5)], 30.0)
        assert isinstance(act, PodFailed)
        assert act.grace_s == 20

    def test_a_soft_threshold_begins_anew_when_it_was_not_met_for_a_moment(self) -> None:
        soft = eviction_settings("none", "memory.available<100Mi", "memory.available=30s")
        evictions = Evictions(soft)
        evictions.look(SHORT, [a_stat("a")], 0.0)
        evictions.look(PLENTY, [a_stat("a")], 15.0)
        evictions.look(SHORT, [a_stat("a")], 20.0)
        assert evictions.look(SHORT, [a_stat("a")], 40.0) == []

    def test_the_minimum_reclaim_is_freed_beyond_the_threshold(self) -> None:
        evictions = Evictions(eviction_settings("memory.available<100Mi", minimum_reclaim="memory.available=50Mi"))
        evictions.look(SHORT, [a_stat("a", 20), a_stat("b", 10)], 0.0)
        enough = {Signal.MEMORY: Reading(120 * MIB, 1000 * MIB)}
        assert evicted(evictions.look(enough, [a_stat("b", 10)], 1.0)) == ["b"]
        assert Evictions(HARD).look(enough, [a_stat("b", 10)], 1.0) == []

    def test_disk_is_freed_before_pods_are_ended_and_pods_are_measured(self) -> None:
        evictions = Evictions(eviction_settings("imagefs.available<15%"))
        full = {Signal.IMAGEFS: Reading(10, 100)}
        assert evictions.look(full, [a_stat("a")], 0.0) == [FreeDisk(Signal.IMAGEFS)]
        assert evictions.measures_disk
        assert evictions.look(full, [a_stat("a")], 1.0) == []
        assert evicted(evictions.look(full, [a_stat("a", disk=DiskUse(5))], 2.0)) == ["a"]

    def test_memory_comes_before_disk(self) -> None:
        evictions = Evictions(eviction_settings("imagefs.available<15%,memory.available<100Mi"))
        assert evicted(evictions.look({**SHORT, Signal.IMAGEFS: Reading(10, 100)}, [a_stat("a", 1)], 0.0)) == ["a"]

    def test_a_signal_that_cannot_be_read_evicts_nobody(self) -> None:
        assert Evictions(HARD).look({}, [a_stat("a", 900)], 0.0) == []

    def test_looks_become_frequent_near_a_threshold_and_where_one_is_run_towards(self) -> None:
        evictions = Evictions(HARD)
        evictions.look(PLENTY, [], 0.0)
        assert evictions.next_look_s() == CALM_LOOK_S
        evictions.look({Signal.MEMORY: Reading(500 * MIB, 1000 * MIB)}, [], 10.0)
        assert evictions.next_look_s() == URGENT_LOOK_S
        evictions.look({Signal.MEMORY: Reading(500 * MIB, 1000 * MIB)}, [], 11.0)
        assert evictions.next_look_s() == CALM_LOOK_S
        evictions.look({Signal.MEMORY: Reading(250 * MIB, 1000 * MIB)}, [], 400.0)
        assert evictions.next_look_s() == URGENT_LOOK_S


@pytest.mark.parametrize(
    ("signal", "left_mib", "matters"),
    [
        (Signal.MEMORY, 150, True),
        (Signal.MEMORY, 500, False),
        (Signal.PIDS, 150, True),
        (Signal.NODEFS, 150, False),
        (Signal.NODEFS, 50, False),
        (Signal.IMAGEFS, 50, False),
    ],
)
def test_pods_memory_and_processes_are_measured_only_as_those_run_short(
    signal: Signal, left_mib: int, matters: bool
) -> None:
    settings = eviction_settings(f"{signal.value}<10%")
    readings = {signal: Reading(left_mib * MIB, 1000 * MIB)}
    assert Evictions(settings).is_near(readings) is matters


class TestConditions:
    def test_one_lasts_for_the_transition_period(self) -> None:
        shortages = Shortages(HARD)
        shortages.observe(SHORT, 0.0)
        shortages.observe(PLENTY, 299.0)
        assert shortages.conditions == {"MemoryPressure"}
        shortages.observe(PLENTY, 300.0)
        assert shortages.conditions == frozenset()

    def test_one_that_an_earlier_agent_left_lasts_too(self) -> None:
        shortages = Shortages(HARD, ["DiskPressure"], now=50.0)
        shortages.observe(PLENTY, 60.0)
        assert shortages.conditions == {"DiskPressure"}
        shortages.observe(PLENTY, 350.0)
        assert shortages.conditions == frozenset()

    @pytest.mark.parametrize(
        ("signal", "condition"),
        [
            (Signal.MEMORY, "MemoryPressure"),
            (Signal.NODEFS, "DiskPressure"),
            (Signal.NODEFS_INODES, "DiskPressure"),
            (Signal.IMAGEFS, "DiskPressure"),
            (Signal.PIDS, "PIDPressure"),
        ],
    )
    def test_which_signal_makes_which(self, signal: Signal, condition: str) -> None:
        assert signal.condition == condition

    @given(st.lists(st.integers(80, 120), min_size=1, max_size=80))
    def test_it_does_not_flap(self, values: list[int]) -> None:
        shortages = Shortages(HARD)
        shown = []
        for at, value in enumerate(values):
            shortages.observe({Signal.MEMORY: Reading(value * MIB, 1000 * MIB)}, float(at))
            shown.append("MemoryPressure" in shortages.conditions)
        # It begins once at most, and does not end within a transition period.
        assert shown == sorted(shown)
        assert any(shown) == any(value < 100 for value in values)


class TestRefusal:
    PRESSED = frozenset({"MemoryPressure"})

    def test_best_effort_is_refused_under_memory_pressure_and_others_are_not(self) -> None:
        assert refusal(a_stat("a").pod, self.PRESSED) == "The node had condition: [MemoryPressure]. "
        assert refusal(a_stat("a", quality="Burstable").pod, self.PRESSED) == ""
        assert refusal(a_stat("a", quality="Guaranteed").pod, self.PRESSED) == ""

    def test_one_that_tolerates_it_is_not(self) -> None:
        toleration = {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}
        assert refusal(a_stat("a", spec={"tolerations": [toleration]}).pod, self.PRESSED) == ""
        other = {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists"}
        assert refusal(a_stat("a", spec={"tolerations": [other]}).pod, self.PRESSED) != ""

    @pytest.mark.parametrize("condition", ["DiskPressure", "PIDPressure"])
    def test_the_other_pressures_keep_all_but_critical_pods_out(self, condition: str) -> None:
        pressed = frozenset({condition})
        assert condition in refusal(a_stat("a", quality="Guaranteed").pod, pressed)
        assert refusal(a_stat("a", priority=2_000_000_000).pod, pressed | self.PRESSED) == ""

    def test_without_pressure_nobody_is(self) -> None:
        assert refusal(a_stat("a").pod, frozenset()) == ""


class TestLocalLimits:
    def test_an_empty_dir_over_its_size_limit_ends_its_pod(self) -> None:
        spec: Body = {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]}
        stat = a_stat("a", spec=spec, disk=DiskUse(2 * MIB, volumes={"scratch": 2 * MIB}))
        (act,) = Evictions(HARD).look(PLENTY, [stat], 0.0)
        assert isinstance(act, PodFailed)
        assert act.message == 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". '
        assert (act.reason, act.disruption) == ("Evicted", False)

    @pytest.mark.parametrize(
        ("disk", "message"),
        [
            (DiskUse(3 * MIB), "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "),
            (
                DiskUse(1 * MIB, containers={"main": 2 * MIB + 1}),
                'Container main exceeded its local ephemeral storage limit "2Mi". ',
            ),
        ],
    )
    def test_ephemeral_storage_over_its_limit_ends_the_pod(self, disk: DiskUse, message: str) -> None:
        spec: Body = {"containers": [{"name": "main", "resources": {"limits": {"ephemeral-storage": "2Mi"}}}]}
        (act,) = Evictions(HARD).look(PLENTY, [a_stat("a", spec=spec, disk=disk)], 0.0)
        assert isinstance(act, PodFailed)
        assert act.message == message

    @pytest.mark.parametrize("volumes", [{"scratch": 1 * MIB}, {}])
    def test_what_is_within_stays(self, volumes: dict[str, int]) -> None:
        spec: Body = {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]}
        stat = a_stat("a", spec=spec, disk=DiskUse(1 * MIB, volumes=volumes))
        assert Evictions(HARD).look(PLENTY, [stat], 0.0) == []


def at(available: int) -> dict[Signal, Reading]:
    return {Signal.MEMORY: Reading(available * MIB, 1000 * MIB)}


class TestTiers:
    def test_the_low_tier_is_throttled_then_paused_then_evicted(self) -> None:
        evictions = Evictions(HARD)
        assert held(evictions.look(at(140), [a_stat("a", 9, sla="low")], 0.0)) == [("a", Hold.THROTTLED)]
        acts = evictions.look(at(120), [a_stat("a", 9, sla="low", hold=Hold.THROTTLED)], 1.0)
        assert (held(acts), evicted(acts)) == ([("a", Hold.PAUSED)], [])
        acts = evictions.look(at(90), [a_stat("a", 9, sla="low", hold=Hold.PAUSED)], 2.0)
        assert (held(acts), evicted(acts)) == ([], ["a"])

    def test_where_there_is_no_time_every_step_is_taken_at_once_and_eviction_next(self) -> None:
        evictions = Evictions(HARD)
        acts = evictions.look(at(90), [a_stat("a", 9, sla="low")], 0.0)
        assert (held(acts), evicted(acts)) == ([("a", Hold.THROTTLED), ("a", Hold.PAUSED)], [])
        acts = evictions.look(at(90), [a_stat("a", 9, sla="low", hold=Hold.PAUSED)], 1.0)
        assert evicted(acts) == ["a"]

    @pytest.mark.parametrize("tier", ["high", "medium", ""])
    def test_the_other_tiers_are_not_held_back(self, tier: str) -> None:
        evictions = Evictions(HARD)
        assert held(evictions.look(at(140), [a_stat("a", 9, sla=tier)], 0.0)) == []
        assert held(evictions.look(at(90), [a_stat("a", 9, sla=tier)], 1.0)) == []

    def test_it_is_let_go_in_reverse_and_not_before_it_has_been_calm(self) -> None:
        evictions = Evictions(HARD)
        evictions.look(at(120), [], 0.0)
        evictions.look(at(120), [], 1.0)
        assert evictions.level is Hold.PAUSED
        paused = [a_stat("a", 9, sla="low", hold=Hold.PAUSED)]
        assert evictions.look(at(500), paused, 2.0) == []
        assert evictions.look(at(500), paused, 2.0 + CALM_S - 1) == []
        assert held(evictions.look(at(500), paused, 2.0 + CALM_S)) == [("a", Hold.THROTTLED)]
        throttled = [a_stat("a", 9, sla="low", hold=Hold.THROTTLED)]
        assert evictions.look(at(500), throttled, 3.0 + CALM_S) == []
        assert held(evictions.look(at(500), throttled, 3.0 + 2 * CALM_S)) == [("a", Hold.NONE)]

    def test_one_that_comes_later_is_held_like_the_others(self) -> None:
        evictions = Evictions(HARD)
        evictions.look(at(140), [], 0.0)
        assert held(evictions.look(at(140), [a_stat("late", 1, sla="low")], 1.0)) == [("late", Hold.THROTTLED)]

    def test_what_an_earlier_agent_paused_is_let_go_by_the_next(self) -> None:
        evictions = Evictions(HARD)
        paused = [a_stat("a", 9, sla="low", hold=Hold.PAUSED)]
        assert evictions.look(at(500), [], -1.0) == []  # before the pods have been taken up
        assert evictions.look(at(500), paused, 0.0) == []
        assert held(evictions.look(at(500), paused, CALM_S)) == [("a", Hold.THROTTLED)]

    @given(st.lists(st.integers(80, 400), min_size=2, max_size=300))
    def test_it_does_not_flap(self, values: list[int]) -> None:
        ladder = Ladder()
        falls = []
        for now, value in enumerate(values):
            before = ladder.level
            ladder.observe(value / 100, float(now), short=value < 100)
            if ladder.level < before:
                falls.append(now)
                assert ladder.level == before - 1
        assert all(later - earlier >= CALM_S for earlier, later in itertools.pairwise(falls))


QUALITIES = st.sampled_from(["BestEffort", "Burstable", "Guaranteed"])


@st.composite
def stats(draw: st.DrawFn) -> list[PodStat]:
    """Pods of one priority, some of them critical; none above its limit, as the kernel sees to."""
    out = []
    for number in range(draw(st.integers(0, 8))):
        quality, request = draw(QUALITIES), draw(st.integers(1, 50))
        used = draw(st.integers(1, request if quality == "Guaranteed" else 100))
        critical = draw(st.sampled_from([0, 0, 0, 2_000_000_000]))
        tier = draw(st.sampled_from(["", "low", "high"]))
        out.append(a_stat(f"p{number}", used, quality=quality, request=request, priority=critical, sla=tier))
    return out


@trying(200)
@given(stats())
def test_a_squeeze_takes_best_effort_then_burstable_over_its_request_and_never_guaranteed(pods: list[PodStat]) -> None:
    evictions = Evictions(HARD)
    gone: list[PodStat] = []
    for now in range(40):
        acts = evictions.look(SHORT, pods, float(now))
        holds = {str(act.uid): act.hold for act in acts if isinstance(act, PodHeld)}
        assert all(stat.sla == "low" for stat in pods if str(stat.uid) in holds)
        named = evicted(acts)
        assert len(named) <= 1
        gone += [stat for stat in pods if str(stat.uid) in named]
        pods = [_held(stat, holds) for stat in pods if str(stat.uid) not in named]
    steps = [_step(stat) for stat in gone]
    assert steps == sorted(steps)
    assert not any(qos_class(stat.pod) == "Guaranteed" or is_critical(stat.pod) for stat in gone)
    assert all(qos_class(stat.pod) == "Guaranteed" or is_critical(stat.pod) for stat in pods)


def _step(stat: PodStat) -> int:
    if qos_class(stat.pod) == "BestEffort":
        return 0
    (container,) = stat.containers
    return 1 if container.memory_bytes > container.memory_request_bytes else 2


def _held(stat: PodStat, holds: dict[str, Hold]) -> PodStat:
    hold = holds.get(str(stat.uid), stat.hold)
    return PodStat(stat.pod, hold=hold, containers=stat.containers, sla=stat.sla)
