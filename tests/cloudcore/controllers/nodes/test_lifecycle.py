from __future__ import annotations

from typing import Any

import pytest

from cloudcore.controllers.nodes.lifecycle import is_ready, keys_of_node, plan
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from protocol.objects.times import micro_timestamp
from protocol.objects.wellknown import NOT_READY, REPORTED_CONDITIONS, UNREACHABLE
from tests.support.controllers import Cloud, cloud

LEASES = "leases.coordination.k8s.io"


def node(ready: str | None = "True", taints: list[Body] | None = None, **spec: Any) -> Body:
    conditions = [] if ready is None else [{"type": "Ready", "status": ready, "reason": "r"}]
    return {
        "metadata": {"name": "n"},
        "spec": {**({"taints": taints} if taints else {}), **spec},
        "status": {"conditions": conditions},
    }


def effects(taints: list[Body] | None) -> set[tuple[str, str]]:
    return {(taint["key"], taint["effect"]) for taint in taints or []}


def test_a_ready_node_is_left_alone() -> None:
    assert plan(node(), expired=False, may_evict=True, now=0.0) == plan(node(), expired=False, may_evict=False, now=9.0)
    assert plan(node(), expired=False, may_evict=True, now=0.0).taints is None


def test_an_expired_lease_makes_the_node_unknown_and_unreachable() -> None:
    decided = plan(node(), expired=True, may_evict=True, now=0.0)
    ready = find_condition(decided.conditions, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert effects(decided.taints) == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
    assert decided.gives_up


def test_a_node_that_says_not_ready_gets_the_not_ready_taints() -> None:
    decided = plan(node("False"), expired=False, may_evict=True, now=0.0)
    assert decided.conditions is None
    assert effects(decided.taints) == {(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")}


def test_a_node_that_never_reported_is_only_not_scheduled_to() -> None:
    assert effects(plan(node(None), expired=False, may_evict=True, now=0.0).taints) == {(NOT_READY, "NoSchedule")}
    decided = plan(node(None), expired=True, may_evict=True, now=0.0)
    assert decided.conditions is not None
    assert decided.conditions[0]["reason"] == "NodeStatusNeverUpdated"


def test_the_guard_holds_evictions_back_and_takes_them_back() -> None:
    held = plan(node(), expired=True, may_evict=False, now=0.0)
    assert effects(held.taints) == {(UNREACHABLE, "NoSchedule")}
    taints = [{"key": UNREACHABLE, "effect": effect, "timeAdded": "t"} for effect in ("NoSchedule", "NoExecute")]
    spared = plan(node("Unknown", taints), expired=True, may_evict=False, now=0.0)
    assert effects(spared.taints) == {(UNREACHABLE, "NoSchedule")}
    assert not plan(node("Unknown", taints), expired=True, may_evict=True, now=0.0).gives_up


def test_taints_of_others_stay_and_ours_go_when_the_node_is_back() -> None:
    taints = [
        {"key": "dedicated", "value": "gpu", "effect": "NoExecute"},
        {"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": "t"},
    ]
    assert plan(node("True", taints), expired=False, may_evict=True, now=0.0).taints == taints[:1]


def test_pressure_and_cordon_become_taints() -> None:
    body = node(unschedulable=True)
    body["status"]["conditions"].append({"type": "DiskPressure", "status": "True"})
    assert effects(plan(body, expired=False, may_evict=True, now=0.0).taints) == {
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    }


def test_only_a_change_that_decides_is_worth_a_look() -> None:
    before, again = node(), node()
    again["status"]["conditions"][0]["lastHeartbeatTime"] = "later"
    again["status"]["nodeInfo"] = {"bootID": "another"}
    assert list(keys_of_node(before, again)) == []
    others = (node("False"), node(taints=[{"key": "k", "effect": "NoSchedule"}]), node(unschedulable=True))
    for changed in (*others, node(None)):
        assert [key.name for key in keys_of_node(before, changed)] == ["n"]
    assert [key.name for key in keys_of_node(None, before)] == ["n"]
    assert [key.name for key in keys_of_node(before, None)] == ["n"]


@pytest.mark.parametrize("spoiled", ["{", "7", "[1]", '[{"type": "Ready"}]'])
def test_a_spoiled_annotation_restores_nothing(spoiled: str) -> None:
    body = node("Unknown")
    body["status"]["conditions"][0]["reason"] = "NodeStatusUnknown"
    body["metadata"]["annotations"] = {REPORTED_CONDITIONS: spoiled}
    decided = plan(body, expired=False, may_evict=True, now=0.0)
    assert (decided.conditions, decided.reported) == (None, "")


async def join(made: Cloud, *names: str) -> None:
    for name in names:
        await made.client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        lease = {"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": {"holderIdentity": name}}
        await made.client.create(LEASES, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease})
        await report_ready(made, name)


async def report_ready(made: Cloud, name: str, status: str = "True") -> None:
    patch = {"status": {"conditions": [{"type": "Ready", "status": status, "reason": "AgentReady"}]}}
    await made.client.patch("nodes", "", name, patch, subresource="status")


async def beat(made: Cloud, seconds: float, *names: str) -> None:
    """Let time pass while ``names`` renew their leases every 10 s."""
    for _ in range(round(seconds / 10)):
        for name in names:
            patch = {"spec": {"renewTime": micro_timestamp(made.clock.wall())}}
            await made.client.patch(LEASES, "kube-node-lease", name, patch)
        await made.pass_time(10)


async def taints_of(made: Cloud, name: str) -> set[tuple[str, str]]:
    return effects((await made.client.get("nodes", "", name))["spec"].get("taints"))


async def pod_on(made: Cloud, name: str, tolerations: list[Body]) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "nodeName": "a", "tolerations": tolerations},
    }
    await made.client.create("pods", body)


@pytest.mark.looptime
async def test_a_silent_node_is_tainted_and_forgiven_when_it_is_back() -> None:
    async with cloud() as made:
        await join(made, "a", "b")
        await beat(made, 60, "a", "b")
        assert await taints_of(made, "a") == set()
        await beat(made, 60, "b")
        assert await taints_of(made, "a") == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
        assert await taints_of(made, "b") == set()
        await beat(made, 10, "a", "b")  # it says no more than that it lives: nothing else has changed
        back = await made.client.get("nodes", "", "a")
        assert is_ready(back)
        assert REPORTED_CONDITIONS not in (back["metadata"].get("annotations") or {})
        assert await taints_of(made, "a") == set()
        events = [event for event in await made.client.list("events") if event["involvedObject"]["name"] == "a"]
        assert {event["reason"] for event in events} == {"NodeNotReady", "NodeReady"}


@pytest.mark.looptime
async def test_what_a_node_reports_itself_on_its_return_stands() -> None:
    async with cloud() as made:
        await join(made, "a", "b")
        await beat(made, 80, "b")
        await report_ready(made, "a", "False")
        await beat(made, 20, "a", "b")
        back = await made.client.get("nodes", "", "a")
        assert back["status"]["conditions"][0]["status"] == "False"
        assert REPORTED_CONDITIONS not in (back["metadata"].get("annotations") or {})
        assert (NOT_READY, "NoSchedule") in await taints_of(made, "a")


@pytest.mark.looptime
async def test_pods_leave_after_their_tolerations_and_those_that_keep_never_do() -> None:
    async with cloud() as made:
        await join(made, "a", "b")
        keys = (UNREACHABLE, NOT_READY)
        forever = [{"key": key, "operator": "Exists", "effect": "NoExecute"} for key in keys]
        await pod_on(made, "keeps", forever)
        await pod_on(made, "replaced", [{**entry, "tolerationSeconds": 100} for entry in forever])
        await beat(made, 120, "b")
        assert {pod["metadata"]["name"] for pod in await made.pods() if "deletionTimestamp" in pod["metadata"]} == set()
        await beat(made, 100, "b")
        going = {pod["metadata"]["name"] for pod in await made.pods() if "deletionTimestamp" in pod["metadata"]}
        assert going == {"replaced"}
        await beat(made, 3600, "b")
        assert any(pod["metadata"]["name"] == "keeps" for pod in await made.pods())
        assert "deletionTimestamp" not in (await made.client.get("pods", "default", "keeps"))["metadata"]


@pytest.mark.looptime
async def test_a_wall_clock_that_jumps_makes_nobody_look_dead() -> None:
    async with cloud() as made:
        await join(made, "a", "b")
        await beat(made, 20, "a", "b")
        made.clock.skew_s = 7 * 24 * 3600.0
        await beat(made, 60, "a", "b")
        made.clock.skew_s = -7 * 24 * 3600.0
        await beat(made, 60, "a", "b")
        assert await taints_of(made, "a") == await taints_of(made, "b") == set()


@pytest.mark.looptime
async def test_when_everything_goes_at_once_nobody_is_given_up() -> None:
    async with cloud() as made:
        await join(made, "a", "b", "c")
        await pod_on(made, "impatient", [])
        await beat(made, 20, "a", "b", "c")
        await made.pass_time(120)
        for name in "abc":
            assert await taints_of(made, name) == {(UNREACHABLE, "NoSchedule")}


@pytest.mark.looptime
async def test_a_restarted_cloud_gives_nodes_their_grace_again() -> None:
    async with cloud() as made:
        await join(made, "a", "b")
        await beat(made, 30, "a", "b")
        survivor = made.store.crash()
    async with cloud(store=survivor) as again:
        await beat(again, 30, "b")
        assert await taints_of(again, "a") == set()
        await beat(again, 30, "b")
        assert (UNREACHABLE, "NoSchedule") in await taints_of(again, "a")
