from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.apiserver.subresources.actions import create_subresource
from cloudcore.errors import BadRequest, Cause, InternalError, Invalid, NotFound, TooManyRequests
from protocol.objects.keys import Body
from tests.support.registries import a_context, a_pod, target

BUDGETS = "poddisruptionbudgets.policy"


async def test_an_eviction_deletes_the_pod_with_its_options(registry: Registry, client: LocalClient) -> None:
    await client.create("pods", a_pod(nodeName="edge-1"))
    eviction = target(registry, "pods", "default", "web", "eviction")
    body = {"metadata": {"name": "web"}, "deleteOptions": {"gracePeriodSeconds": 7}}
    await create_subresource(registry, eviction, body, a_context())
    assert (await client.get("pods", "default", "web"))["metadata"]["deletionGracePeriodSeconds"] == 7


async def test_an_eviction_of_nothing(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await create_subresource(registry, target(registry, "pods", "default", "web", "eviction"), {}, a_context())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"metadata": {"name": "other"}}, BadRequest),
        ({"deleteOptions": [1]}, BadRequest),
        ({"deleteOptions": {"gracePeriodSeconds": "x"}}, BadRequest),
        ({"deleteOptions": {"gracePeriodSeconds": -1}}, Invalid),
    ],
)
async def test_a_wrong_eviction_is_refused(
    registry: Registry, client: LocalClient, body: dict[str, object], error: type[Exception]
) -> None:
    stored = await client.create("pods", a_pod())
    with pytest.raises(error):
        await create_subresource(registry, target(registry, "pods", "default", "web", "eviction"), body, a_context())
    assert await client.get("pods", "default", "web") == stored


def a_budget(allowed: int = 1, *, observed: int = 1, **spec: Any) -> Body:
    status = {
        "observedGeneration": observed,
        "disruptionsAllowed": allowed,
        "desiredHealthy": 2,
        "currentHealthy": 2 + allowed,
    }
    return {
        "metadata": {"name": "web", "namespace": "default", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec},
        "status": status,
    }


READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


async def _given(client: LocalClient, budget: Body | None = None, status: Body = READY) -> None:
    await client.create("pods", a_pod())
    await client.patch("pods", "default", "web", {"status": status}, subresource="status")
    if budget is not None:
        await client.create(BUDGETS, budget)
        await client.update(BUDGETS, budget, subresource="status")


async def _evict(registry: Registry, **context: Any) -> None:
    eviction = target(registry, "pods", "default", "web", "eviction")
    await create_subresource(registry, eviction, {"metadata": {"name": "web"}}, a_context(**context))


async def test_an_eviction_takes_one_disruption_of_its_budget(registry: Registry, client: LocalClient) -> None:
    await _given(client, a_budget(1))
    await _evict(registry)
    status = (await client.get(BUDGETS, "default", "web"))["status"]
    assert status["disruptionsAllowed"] == 0
    assert list(status["disruptedPods"]) == ["web"]
    assert status["conditions"][0]["reason"] == "InsufficientPods"
    assert await client.list("pods") == []


async def test_a_dry_run_takes_nothing(registry: Registry, client: LocalClient) -> None:
    await _given(client, a_budget(1))
    await _evict(registry, dry_run=True)
    assert (await client.get(BUDGETS, "default", "web"))["status"]["disruptionsAllowed"] == 1
    assert len(await client.list("pods")) == 1


@pytest.mark.parametrize(
    ("budget", "cause", "retry_after_s"),
    [
        (a_budget(0), "The disruption budget web needs 2 healthy pods and has 2 currently", None),
        (a_budget(1, observed=0), "The disruption budget web is still being processed by the server.", 10),
    ],
)
async def test_a_spent_budget_refuses(
    registry: Registry, client: LocalClient, budget: Body, cause: str, retry_after_s: int | None
) -> None:
    await _given(client, budget)
    with pytest.raises(TooManyRequests) as refused:
        await _evict(registry)
    assert refused.value.message == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused.value.causes == (Cause("DisruptionBudget", cause),)
    assert refused.value.retry_after_s == retry_after_s
    assert len(await client.list("pods")) == 1


async def test_a_pod_with_two_budgets_is_not_evicted(registry: Registry, client: LocalClient) -> None:
    await _given(client, a_budget(1))
    await client.create(BUDGETS, {**a_budget(1), "metadata": {"name": "other", "namespace": "default"}})
    with pytest.raises(InternalError, match="more than one PodDisruptionBudget"):
        await _evict(registry)


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
async def test_pods_that_do_not_run_are_free(registry: Registry, client: LocalClient, phase: str) -> None:
    await _given(client, a_budget(0), {"phase": phase})
    await _evict(registry)
    assert await client.list("pods") == []


@pytest.mark.parametrize(
    ("allowed", "policy", "goes"),
    [(0, "AlwaysAllow", True), (0, "IfHealthyBudget", True), (-1, "IfHealthyBudget", False)],
)
async def test_unhealthy_pods(
    registry: Registry, client: LocalClient, allowed: int, policy: str, *, goes: bool
) -> None:
    await _given(client, a_budget(allowed, unhealthyPodEvictionPolicy=policy), {"phase": "Running"})
    if goes:
        await _evict(registry)
    else:
        with pytest.raises(TooManyRequests):
            await _evict(registry)
    assert len(await client.list("pods")) == (not goes)
