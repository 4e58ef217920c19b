from __future__ import annotations

from typing import Any

import pytest

from cloudcore.controllers.disruption import EVICTION_GRACE_S, NoScale, plan, selects
from protocol.objects.keys import Body
from protocol.objects.times import timestamp
from tests.support.controllers import EPOCH_S, cloud, deployment

BUDGETS = "poddisruptionbudgets.policy"
NOW = EPOCH_S + 1000.0


def budget(status: Body | None = None, **spec: Any) -> Body:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default", "generation": 3},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec},
        **({} if status is None else {"status": status}),
    }


def pod(name: str, *, ready: bool = True, phase: str = "Running", **metadata: Any) -> Body:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": name, "labels": {"app": "web"}, **metadata},
        "status": {"phase": phase, "conditions": conditions},
    }


PODS = [pod("a"), pod("b"), pod("c"), pod("d", ready=False)]


@pytest.mark.parametrize(
    ("spec", "replicas", "desired", "expected", "allowed"),
    [
        ({"minAvailable": 2}, NoScale("?"), 2, 4, 1),
        ({"minAvailable": 5}, 4, 5, 4, 0),
        ({"minAvailable": "50%"}, 5, 3, 5, 0),
        ({"minAvailable": "26%"}, 4, 2, 4, 1),
        ({"maxUnavailable": 1}, 4, 3, 4, 0),
        ({"maxUnavailable": 2}, 4, 2, 4, 1),
        ({"maxUnavailable": "30%"}, 4, 2, 4, 1),
        ({"maxUnavailable": 9}, 4, 0, 4, 3),
        ({"maxUnavailable": 1}, 0, 0, 0, 0),
        ({}, NoScale("?"), 0, 4, 3),
    ],
)
def test_what_a_budget_comes_to(spec: Body, replicas: int | NoScale, desired: int, expected: int, allowed: int) -> None:
    status = plan(budget(**spec), PODS, replicas, NOW)
    assert status["desiredHealthy"] == desired
    assert status["expectedPods"] == expected
    assert status["currentHealthy"] == 3
    assert status["disruptionsAllowed"] == allowed
    assert status["observedGeneration"] == 3
    (condition,) = status["conditions"]
    assert (condition["status"], condition["reason"]) == (
        ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    )


def test_pods_that_go_or_have_ended_are_not_healthy() -> None:
    pods = [pod("a"), pod("b", deletionTimestamp="2027-01-01T00:00:00Z"), pod("c", phase="Succeeded")]
    assert plan(budget(minAvailable=1), pods, 3, NOW)["currentHealthy"] == 1


def test_a_share_of_nobody_knows_how_many_allows_nothing() -> None:
    status = plan(budget(maxUnavailable=1), PODS, NoScale("Jobs have no scale"), NOW)
    assert status["disruptionsAllowed"] == 0
    assert status["conditions"][0]["reason"] == "SyncFailed"
    assert status["conditions"][0]["message"] == "Jobs have no scale"


def test_an_eviction_that_was_allowed_counts_until_it_shows_or_its_time_is_up() -> None:
    noted = {"disruptedPods": {"a": timestamp(NOW - 1), "gone": timestamp(NOW), "b": timestamp(NOW - EVICTION_GRACE_S)}}
    status = plan(budget(noted, minAvailable=1), PODS, 4, NOW)
    assert list(status["disruptedPods"]) == ["a"]
    assert status["currentHealthy"] == 2


def test_an_empty_selector_takes_all_and_an_absent_one_none() -> None:
    assert selects(budget(selector={}), pod("a"))
    assert not selects(budget(selector=None), pod("a"))


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.looptime
async def test_the_status_follows_pods_and_replicas() -> None:
    async with cloud() as made:
        await made.client.create("deployments.apps", deployment(replicas=3))
        await made.client.create(BUDGETS, budget(maxUnavailable=1))
        await made.settle()
        await made.play_kubelet()
        await made.settle()
        status = (await made.client.get(BUDGETS, "default", "web"))["status"]
        assert (status["expectedPods"], status["desiredHealthy"], status["disruptionsAllowed"]) == (3, 2, 1)
        await made.client.patch("deployments.apps", "default", "web", {"spec": {"replicas": 5}})
        await made.settle()
        status = (await made.client.get(BUDGETS, "default", "web"))["status"]
        assert (status["expectedPods"], status["desiredHealthy"], status["disruptionsAllowed"]) == (5, 4, 0)
