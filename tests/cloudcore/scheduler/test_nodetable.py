from __future__ import annotations

import pytest

from cloudcore.scheduler.nodetable import NodeChange, NodeTable
from protocol.objects.selectors import Requirement
from tests.support.scheduling import node, taint


def test_what_an_update_amounts_to() -> None:
    table = NodeTable()
    assert table.put(node("a")) == NodeChange.ADDED | NodeChange.FEATURES | NodeChange.CAPACITY
    assert table.put(node("a")) == NodeChange.NOTHING
    heartbeat = node("a")
    heartbeat["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert table.put(heartbeat) == NodeChange.NOTHING
    assert table.put(node("a", cpu="8")) == NodeChange.CAPACITY
    assert table.put(node("a", cpu="8", labels={"x": "1"})) == NodeChange.FEATURES
    assert table.put(node("a", cpu="8", labels={"x": "1"}, taints=[taint("t")])) == NodeChange.FEATURES
    assert table.put(node("a", cpu="8", unschedulable=True)) == NodeChange.FEATURES
    assert table.put(node("a", cpu="8", unschedulable=True, runtimes="process")) == NodeChange.FEATURES


@pytest.mark.parametrize("count", [64, 65, 300])
def test_the_table_grows_with_the_fleet(count: int) -> None:
    table = NodeTable()
    requirement = Requirement("parity", "In", ("0",))
    for number in range(count):
        table.put(node(f"n{number}", labels={"parity": str(number % 2)}, cpu=str(number)))
        if number == 10:
            table.matches(requirement, table.everywhere)
    table.charge("n3", {"cpu": 500, "example.com/gpu": 1}, (500, 0), 1)
    assert table.count() == count
    assert table.matches(requirement, table.everywhere).tolist() == [number % 2 == 0 for number in range(count)]
    assert table.free("cpu", table.everywhere).tolist()[2:5] == [2000, 2500, 4000]
    assert table.free("example.com/gpu", slice(3, 4)).tolist() == [-1]
    table.check_invariants()


def test_label_columns_are_bounded() -> None:
    table = NodeTable()
    table.put(node("a", labels={"key-7": "x"}))
    for number in range(600):
        found = table.matches(Requirement(f"key-{number}", "Exists"), table.everywhere)
        assert found.tolist() == [number == 7]
    assert table.matches(Requirement("key-7", "In", ("x",)), table.everywhere).tolist() == [True]


def test_changes_of_use_are_told_until_they_are_too_many() -> None:
    table = NodeTable()
    for name in ("a", "b"):
        table.put(node(name))
    start = table.use_position
    table.charge("b", {"pods": 1}, (0, 0), 1)
    assert table.used_since(start) == {table.row("b")}
    assert table.used_since(table.use_position) == set()
    for _ in range(3_000):
        table.charge("a", {"pods": 1}, (0, 0), 1)
    assert table.used_since(start) is None


def test_an_unreadable_quantity_counts_as_nothing() -> None:
    table = NodeTable()
    table.put(node("a", cpu="many"))
    assert table.allocatable("cpu", table.everywhere).tolist() == [0]


def test_removing_an_unknown_node_changes_nothing() -> None:
    table = NodeTable()
    table.remove("nobody")
    assert table.size == 0


def test_a_node_that_claims_more_than_there_are_numbers_for_has_the_largest() -> None:
    table = NodeTable()
    table.put(node("a", cpu="1e999"))
    assert table.allocatable("cpu", table.everywhere).tolist() == [2**63 - 1]


def test_the_runtimes_that_an_agent_reports_count_for_more_than_those_of_its_joining() -> None:
    table = NodeTable()
    body = node("a", runtimes="process")
    table.put(body)
    body["status"]["runtimeHandlers"] = [{"name": ""}, {"name": "docker"}]
    assert table.put(body) == NodeChange.FEATURES
    row = table.row("a")
    assert row is not None
    assert table.runtimes.value(row) == frozenset({"docker"})
    body["status"]["runtimeHandlers"] = [{"name": ""}]
    table.put(body)
    assert table.runtimes.value(row) == frozenset({"process"})
