from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcore.scheduler.cycle import Cycle, Placement
from cloudcore.scheduler.evaluation import NEVER, Evaluation
from cloudcore.scheduler.explain import Explanation
from cloudcore.scheduler.framework import ClusterEvent
from cloudcore.scheduler.plugins import default_profile
from cloudcore.scheduler.podshape import shape_of
from protocol.objects.keys import Body, Uid
from tests.support.scheduling import (
    container,
    expression,
    node,
    pod,
    preferred_affinity,
    required_affinity,
    taint,
)


def cycle_with(*nodes: Body, seed: int = 1) -> Cycle:
    cycle = Cycle(default_profile(), Random(seed))
    for each in nodes:
        cycle.table.put(each)
    return cycle


def placed(cycle: Cycle, body: Body) -> str:
    outcome = cycle.place(body)
    assert isinstance(outcome, Placement), outcome
    return outcome.node


def why_not(cycle: Cycle, body: Body) -> Explanation:
    outcome = cycle.place(body)
    assert isinstance(outcome, Explanation), outcome
    return outcome


def could_go(body: Body, *nodes: Body) -> list[str]:
    """Return the names of the nodes that pass all filters."""
    names = []
    for each in nodes:
        if isinstance(cycle_with(each).place(body), Placement):
            names.append(each["metadata"]["name"])
    return names


# Filters


def test_node_selector_and_affinity_are_both_required() -> None:
    nodes = [
        node("a", labels={"zone": "east", "disk": "ssd"}),
        node("b", labels={"zone": "east"}),
        node("c", labels={"disk": "ssd"}),
    ]
    affinity = required_affinity({"matchExpressions": [expression("disk", "Exists")]})
    assert could_go(pod(nodeSelector={"zone": "east"}, affinity=affinity), *nodes) == ["a"]


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        (expression("tier", "In", "1", "3"), ["one", "three"]),
        (expression("tier", "NotIn", "1"), ["three", "ten", "none", "word"]),
        (expression("tier", "Exists"), ["one", "three", "ten", "word"]),
        (expression("tier", "DoesNotExist"), ["none"]),
        (expression("tier", "Gt", "2"), ["three", "ten"]),
        (expression("tier", "Lt", "3"), ["one"]),
    ],
)
def test_each_operator(requirement: Body, expected: list[str]) -> None:
    nodes = [
        node("one", labels={"tier": "1"}),
        node("three", labels={"tier": "3"}),
        node("ten", labels={"tier": "10"}),
        node("none"),
        node("word", labels={"tier": "x"}),
    ]
    affinity = required_affinity({"matchExpressions": [requirement]})
    assert could_go(pod(affinity=affinity), *nodes) == expected


def test_terms_are_alternatives_and_an_empty_term_matches_nothing() -> None:
    nodes = [node("a", labels={"x": "1"}), node("b", labels={"y": "1"}), node("c")]
    either = required_affinity(
        {"matchExpressions": [expression("x", "Exists")]}, {"matchExpressions": [expression("y", "Exists")]}, {}
    )
    assert could_go(pod(affinity=either), *nodes) == ["a", "b"]
    assert could_go(pod(affinity=required_affinity({})), *nodes) == []


def test_match_fields_takes_the_nodes_name() -> None:
    nodes = [node("a"), node("b")]
    on_b = required_affinity({"matchFields": [expression("metadata.name", "In", "b")]})
    not_b = required_affinity({"matchFields": [expression("metadata.name", "NotIn", "b")]})
    unknown = required_affinity({"matchFields": [expression("spec.podCIDR", "Exists")]})
    assert could_go(pod(affinity=on_b), *nodes) == ["b"]
    assert could_go(pod(affinity=not_b), *nodes) == ["a"]
    assert could_go(pod(affinity=unknown), *nodes) == []


@pytest.mark.parametrize(
    ("toleration", "goes"),
    [
        ({"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}, True),
        ({"key": "dedicated", "value": "gpu"}, True),
        ({"key": "dedicated", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "dedicated", "value": "cpu"}, False),
        ({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"value": "gpu"}, False),
    ],
)
def test_taints_need_a_toleration(toleration: Body, goes: bool) -> None:
    tainted = node("a", taints=[taint("dedicated", "gpu")])
    assert bool(could_go(pod(tolerations=[toleration]), tainted)) is goes
    assert could_go(pod(), tainted) == []
    assert could_go(pod(), node("b", taints=[taint("dedicated", "gpu", "PreferNoSchedule")])) == ["b"]


def test_no_execute_turns_away_too() -> None:
    assert could_go(pod(), node("a", taints=[taint("unreachable", effect="NoExecute")])) == []


def test_a_cordoned_node_takes_only_pods_that_tolerate_it() -> None:
    tolerant = pod(tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}])
    cordoned = node("a", unschedulable=True)
    assert could_go(pod(), cordoned) == []
    assert could_go(tolerant, cordoned) == ["a"]


def test_a_pod_that_names_its_node_goes_nowhere_else() -> None:
    assert could_go(pod(nodeName="b"), node("a"), node("b")) == ["b"]


def test_a_runtime_class_needs_a_node_that_offers_its_handler() -> None:
    nodes = [
        node("a", runtimes="process"),
        node("b", runtimes="docker, process"),
        node("c", runtimes="docker"),
        node("d"),
    ]
    assert could_go(pod(runtimeClassName="process"), *nodes) == ["a", "b", "d"]
    assert could_go(pod(), *nodes) == ["a", "b", "c", "d"]
    cycle = cycle_with(nodes[0])
    assert isinstance(cycle.place(pod("one", runtimeClassName="isolated")), Explanation)
    cycle.put_runtime_class("isolated", "process")
    assert placed(cycle, pod("two", runtimeClassName="isolated")) == "a"
    cycle.put_runtime_class("isolated", None)
    assert 'runtime "isolated"' in why_not(cycle, pod("three", runtimeClassName="isolated")).message


def test_every_requested_resource_must_fit_extended_ones_too() -> None:
    gpu = {"example.com/gpu": "1"}
    nodes = [node("a", extended={"example.com/gpu": "2"}), node("b")]
    assert could_go(pod(requests=gpu), *nodes) == ["a"]
    cycle = cycle_with(nodes[0])
    assert [placed(cycle, pod(str(i), requests=gpu)) for i in range(2)] == ["a", "a"]
    assert (
        why_not(cycle, pod("third", requests=gpu)).message == "0/1 nodes are available: 1 Insufficient example.com/gpu."
    )


def test_the_number_of_pods_is_a_resource() -> None:
    cycle = cycle_with(node("a", pods="2"))
    assert [placed(cycle, pod(str(i))) for i in range(2)] == ["a", "a"]
    assert why_not(cycle, pod("third")).message == "0/1 nodes are available: 1 Too many pods."


def test_use_beyond_what_a_node_has_keeps_only_those_away_who_ask_for_more_of_it() -> None:
    cycle = cycle_with(node("a", cpu="1"))
    cycle.charge({**pod("bound", requests={"cpu": "2"}, nodeName="a")})
    assert placed(cycle, pod("no-cpu", requests={"memory": "1Mi"})) == "a"
    assert isinstance(cycle.place(pod("some-cpu", requests={"cpu": "1m"})), Explanation)


# Scores


def test_pods_spread_to_the_least_allocated_node() -> None:
    cycle = cycle_with(node("small", cpu="2"), node("large", cpu="8"))
    names = [placed(cycle, pod(str(i), requests={"cpu": "1", "memory": "0"})) for i in range(10)]
    assert names[:3] == ["large"] * 3
    assert names.count("small") == 2


def test_pods_without_requests_spread_as_well() -> None:
    cycle = cycle_with(node("a"), node("b"))
    names = [placed(cycle, pod(str(i))) for i in range(6)]
    assert sorted(names) == ["a"] * 3 + ["b"] * 3


def test_preferred_terms_outweigh_free_space() -> None:
    cycle = cycle_with(node("idle"), node("liked", cpu="2", labels={"disk": "ssd"}))
    affinity = preferred_affinity((10, {"matchExpressions": [expression("disk", "In", "ssd")]}))
    assert placed(cycle, pod(affinity=affinity, requests={"cpu": "1"})) == "liked"


def test_the_heavier_preference_wins() -> None:
    nodes = [node("a", labels={"x": "1"}), node("b", labels={"y": "1"})]
    affinity = preferred_affinity(
        (1, {"matchExpressions": [expression("x", "Exists")]}), (9, {"matchExpressions": [expression("y", "Exists")]})
    )
    assert placed(cycle_with(*nodes), pod(affinity=affinity)) == "b"


def test_a_prefer_no_schedule_taint_is_avoided_unless_tolerated() -> None:
    nodes = [node("avoided", cpu="64", taints=[taint("slow", effect="PreferNoSchedule")]), node("plain")]
    assert placed(cycle_with(*nodes), pod(requests={"cpu": "1"})) == "plain"
    tolerations = [{"key": "slow", "operator": "Exists"}]
    assert placed(cycle_with(*nodes), pod(requests={"cpu": "1"}, tolerations=tolerations)) == "avoided"


def test_ties_are_broken_by_the_injected_randomness() -> None:
    nodes = [node(name) for name in "abcdef"]
    chosen = [placed(cycle_with(*nodes, seed=seed), pod()) for seed in range(30)]
    assert chosen == [placed(cycle_with(*nodes, seed=seed), pod()) for seed in range(30)]
    assert len(set(chosen)) > 3


# Explanations


def test_each_node_is_put_down_to_the_first_filter_that_turns_it_away() -> None:
    cycle = cycle_with(
        node("a", taints=[taint("dedicated", "gpu")], labels={"zone": "west"}),
        node("b", labels={"zone": "west"}),
        node("c", labels={"zone": "west"}),
    )
    explanation = why_not(cycle, pod(nodeSelector={"zone": "east"}))
    assert explanation.message == (
        "0/3 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}, "
        "2 node(s) didn't match Pod's node affinity/selector."
    )
    assert explanation.rejected_by == {"TaintToleration", "NodeAffinity"}
    assert explanation.wakes == {ClusterEvent.NODE_ADDED, ClusterEvent.NODE_FEATURES}


def test_a_node_short_of_several_things_is_counted_for_each() -> None:
    explanation = why_not(cycle_with(node("a", cpu="1", memory="1Gi")), pod(requests={"cpu": "2", "memory": "2Gi"}))
    assert explanation.message == "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."
    assert ClusterEvent.CAPACITY_FREED in explanation.wakes


def test_without_nodes_it_says_so() -> None:
    explanation = why_not(cycle_with(), pod())
    assert explanation.message == "no nodes available to schedule pods"
    assert ClusterEvent.NODE_ADDED in explanation.wakes


def test_a_deleted_node_is_no_longer_counted() -> None:
    cycle = cycle_with(node("a", unschedulable=True), node("b", unschedulable=True))
    assert why_not(cycle, pod()).message == "0/2 nodes are available: 2 node(s) were unschedulable."
    cycle.table.remove("a")
    assert why_not(cycle, pod()).message == "0/1 nodes are available: 1 node(s) were unschedulable."


def test_an_explanation_is_renewed_when_something_changes() -> None:
    cycle = cycle_with(node("a", cpu="1"))
    assert placed(cycle, pod("one", requests={"cpu": "1"})) == "a"
    assert "Insufficient cpu" in why_not(cycle, pod("two", requests={"cpu": "1"})).message
    cycle.table.put(node("a", cpu="1", unschedulable=True))
    assert "unschedulable" in why_not(cycle, pod("two", requests={"cpu": "1"})).message


# What is charged


def test_an_assumed_pod_is_charged_once_and_can_be_taken_back() -> None:
    cycle = cycle_with(node("a", pods="1"))
    first = pod("first")
    assert placed(cycle, first) == "a"
    cycle.charge({**first, "spec": {**first["spec"], "nodeName": "a"}})
    assert isinstance(cycle.place(pod("second")), Explanation)
    assert cycle.release(Uid("uid-first"))
    assert not cycle.release(Uid("uid-first"))
    assert placed(cycle, pod("second")) == "a"
    cycle.table.check_invariants()


def test_pods_known_before_their_node_are_charged_when_it_comes() -> None:
    cycle = cycle_with()
    cycle.charge(pod("early", nodeName="a"))
    assert why_not(cycle, pod("waiting")).nodes == 0
    cycle.table.put(node("a", pods="2"))
    assert placed(cycle, pod("second")) == "a"
    assert isinstance(cycle.place(pod("third")), Explanation)


def test_a_node_made_again_keeps_the_charges_of_the_pods_that_are_there() -> None:
    cycle = cycle_with(node("a", pods="1"))
    assert placed(cycle, pod("first")) == "a"
    cycle.table.remove("a")
    assert isinstance(cycle.place(pod("second")), Explanation)
    cycle.table.put(node("a", pods="1"))
    assert isinstance(cycle.place(pod("second")), Explanation)
    cycle.release(Uid("uid-first"))
    assert placed(cycle, pod("second")) == "a"


def test_a_reused_row_has_nothing_of_the_node_before() -> None:
    cycle = cycle_with(node("old", labels={"disk": "ssd"}, taints=[taint("x")], extended={"example.com/gpu": "4"}))
    selective = pod(nodeSelector={"disk": "ssd"})
    assert isinstance(cycle.place(selective), Explanation)
    cycle.table.remove("old")
    cycle.table.put(
        {"metadata": {"name": "new"}, "spec": {}, "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "5"}}}
    )
    assert cycle.table.size == 1
    assert isinstance(cycle.place(selective), Explanation)
    assert isinstance(cycle.place(pod(requests={"example.com/gpu": "1"})), Explanation)
    assert isinstance(
        cycle.place(pod(affinity=required_affinity({"matchFields": [expression("metadata.name", "In", "old")]}))),
        Explanation,
    )
    assert placed(cycle, pod()) == "new"
    cycle.table.check_invariants()


NODES = st.builds(
    node,
    st.sampled_from([f"n{i}" for i in range(6)]),
    cpu=st.sampled_from(["1", "2", "4"]),
    labels=st.dictionaries(st.sampled_from(["zone", "disk"]), st.sampled_from(["a", "b"])),
    taints=st.lists(
        st.builds(taint, st.sampled_from("xy"), effect=st.sampled_from(["NoSchedule", "PreferNoSchedule"])), max_size=1
    ),
    unschedulable=st.booleans(),
)
PODS = st.builds(
    pod,
    st.sampled_from([f"p{i}" for i in range(20)]),
    requests=st.fixed_dictionaries({"cpu": st.sampled_from(["0", "250m", "1"])}),
    nodeSelector=st.dictionaries(st.just("zone"), st.sampled_from(["a", "b"]), max_size=1),
    tolerations=st.lists(st.just({"key": "x", "operator": "Exists"}), max_size=1),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("node"), NODES),
        st.tuples(st.just("gone"), st.sampled_from([f"n{i}" for i in range(6)])),
        st.tuples(st.just("place"), PODS),
        st.tuples(st.just("release"), st.sampled_from([f"uid-p{i}" for i in range(20)])),
    ),
    max_size=40,
)


@given(STEPS)
def test_kept_evaluations_equal_fresh_ones(steps: list[tuple[str, Any]]) -> None:
    cycle = cycle_with()
    kept: dict[str, Evaluation] = {}
    for what, value in steps:
        if what == "node":
            cycle.table.put(value)
        elif what == "gone":
            cycle.table.remove(value)
        elif what == "release":
            cycle.release(Uid(value))
        else:
            fresh = Evaluation(shape_of(value["spec"], {}), default_profile())
            evaluation = kept.setdefault(str(value["spec"]), fresh)
            totals = fresh.totals(cycle.table).tolist()
            assert evaluation.totals(cycle.table).tolist() == totals
            outcome = cycle.place(value)
            best = outcome.score if isinstance(outcome, Placement) else NEVER
            assert best == max(totals, default=NEVER)
        cycle.table.check_invariants()


def test_init_containers_and_overhead_count_when_fitting() -> None:
    body = pod(overhead={"cpu": "500m"}, initContainers=[container(cpu="3500m")])
    assert could_go(body, node("a", cpu="4"), node("b", cpu="3900m")) == ["a"]


def test_pods_of_a_tier_are_charged_by_their_ceilings() -> None:
    cycle = cycle_with(node("a", cpu="2"))
    limited = [{**container(cpu="100m"), "resources": {"limits": {"cpu": "1"}}}]

    def tiered(name: str, tier: str) -> Body:
        body = pod(name, containers=limited)
        body["metadata"]["labels"] = {"edge.aiokubeedge.io/sla": tier}
        return body

    for name in ("one", "two"):
        assert isinstance(cycle.place(tiered(name, "high")), Placement)
    assert cycle.table.free("cpu", 0) == 200
    assert "Insufficient cpu" in why_not(cycle, tiered("three", "high")).reasons
    cycle.release(Uid("uid-one"))
    assert isinstance(cycle.place(tiered("three", "low")), Placement)
    assert cycle.table.free("cpu", 0) == 2000 - 900 - 667
    cycle.charge({**tiered("four", "medium"), "spec": {**tiered("four", "medium")["spec"], "nodeName": "a"}})
    assert cycle.table.free("cpu", 0) == 2000 - 900 - 667 - 834
