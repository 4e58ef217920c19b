from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from cloudcore.controllers.replicaset import plan, status
from cloudcore.errors import Forbidden, TooManyRequests
from protocol.objects.keys import Body
from protocol.objects.times import timestamp
from tests.support.controllers import EPOCH_S, Cloud, cloud

REPLICASETS = "replicasets.apps"
NOW = EPOCH_S + 1000.0


def replicaset(replicas: int = 2, **spec: Any) -> Body:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "default", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
            **spec,
        },
    }


def pod(name: str, *, ready_for: float | None = None, node: str = "", phase: str = "Running", **meta: Any) -> Body:
    conditions = []
    if ready_for is not None:
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": timestamp(NOW - ready_for)}]
    return {
        "metadata": {"name": name, "uid": name, "labels": {"app": "web"}, **meta},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": conditions},
    }


def test_missing_pods_are_created_and_surplus_ones_deleted() -> None:
    assert plan(replicaset(2), [], NOW).create == 2
    assert plan(replicaset(2), [pod("a"), pod("b")], NOW).delete == ()
    assert len(plan(replicaset(0), [pod("a"), pod("b")], NOW).delete) == 2


def test_ended_and_going_pods_do_not_count() -> None:
    pods = [pod("a", phase="Failed"), pod("b", deletionTimestamp="2026-01-01T00:00:00Z")]
    assert plan(replicaset(2), pods, NOW).create == 2


def test_a_replicaset_that_is_going_does_nothing() -> None:
    body = replicaset(2)
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert plan(body, [], NOW).create == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pod("z"), pod("a", node="n")),
        (pod("z", node="n", phase="Pending"), pod("a", node="n")),
        (pod("z", node="n"), pod("a", node="n", ready_for=10)),
        (
            pod("z", node="n", ready_for=10, annotations={"controller.kubernetes.io/pod-deletion-cost": "-5"}),
            pod("a", node="n", ready_for=10),
        ),
        (pod("z", node="n", ready_for=10), pod("a", node="n", ready_for=900)),
        (
            pod("z", node="n", creationTimestamp=timestamp(NOW - 10)),
            pod("a", node="n", creationTimestamp=timestamp(NOW - 900)),
        ),
    ],
    ids=["unbound", "pending", "not ready", "cheap", "ready for a shorter time", "younger"],
)
def test_the_least_useful_pod_goes_first(first: Body, second: Body) -> None:
    assert plan(replicaset(1), [second, first], NOW).delete == (first,)


def test_of_equal_pods_one_on_the_crowded_node_goes() -> None:
    pods = [pod("a", node="x", ready_for=10), pod("b", node="y", ready_for=10), pod("c", node="y", ready_for=10)]
    assert plan(replicaset(2), pods, NOW).delete == (pods[1],)


def test_the_status_counts_ready_available_and_fully_labelled_pods() -> None:
    pods = [pod("a", ready_for=30), pod("b", ready_for=5), pod("c"), pod("d", labels={"app": "web", "x": "y"})]
    found = status(replicaset(4, minReadySeconds=10), pods, None, NOW)
    assert found == {
        "replicas": 4,
        "fullyLabeledReplicas": 4,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "observedGeneration": 1,
    }
    assert plan(replicaset(4, minReadySeconds=10), pods, NOW).requeue_s == 5


def test_a_failure_shows_as_a_condition_until_it_has_passed() -> None:
    body = replicaset(1)
    body["status"] = status(body, [], ("FailedCreate", "no room"), NOW)
    assert body["status"]["conditions"][0]["reason"] == "FailedCreate"
    assert "conditions" not in status(body, [], None, NOW)


async def names(made: Cloud) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in await made.pods())


@pytest.mark.looptime
async def test_pods_come_and_go_with_the_size_and_a_deleted_one_is_replaced() -> None:
    async with cloud() as made:
        await made.client.create(REPLICASETS, replicaset(3))
        await made.settle()
        before = await names(made)
        assert len(before) == 3
        await made.client.delete("pods", "default", before[0])
        await made.settle()
        after = await names(made)
        assert len(after) == 3
        assert before[0] not in after
        await made.client.patch(REPLICASETS, "default", "web", {"spec": {"replicas": 1}})
        await made.settle()
        assert len(await names(made)) == 1
        body = await made.client.get(REPLICASETS, "default", "web")
        assert (body["status"]["replicas"], body["status"]["observedGeneration"]) == (1, body["metadata"]["generation"])


@pytest.mark.looptime
async def test_matching_orphans_are_adopted_and_pods_that_stop_matching_are_released() -> None:
    async with cloud() as made:
        lonely = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "lonely", "namespace": "default", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        await made.client.create("pods", lonely)
        await made.client.create(REPLICASETS, replicaset(2))
        await made.settle()
        assert len(await names(made)) == 2
        owners = (await made.client.get("pods", "default", "lonely"))["metadata"]["ownerReferences"]
        assert owners[0]["kind"] == "ReplicaSet"
        await made.client.patch("pods", "default", "lonely", {"metadata": {"labels": {"app": "debug"}}})
        await made.settle()
        assert len(await names(made)) == 3
        assert "ownerReferences" not in (await made.client.get("pods", "default", "lonely"))["metadata"]


@pytest.mark.looptime
async def test_a_full_queue_slows_creation_down_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cloud() as made:
        create, calls, refusing = made.client.create, [], [True]

        async def turn_away(resource: str, body: Body) -> Body:
            if resource == "pods":
                calls.append(body)
                if refusing[0]:
                    raise TooManyRequests("the scheduling queue is full", retry_after_s=7)
            return await create(resource, body)

        monkeypatch.setattr(made.client, "create", turn_away)
        await made.client.create(REPLICASETS, replicaset(50))
        await made.settle()
        assert len(calls) == 1  # slow start: one attempt, not fifty
        body = await made.client.get(REPLICASETS, "default", "web")
        assert body["status"]["conditions"][0]["reason"] == "FailedCreate"
        refusing[0] = False
        await made.pass_time(6)
        assert len(calls) == 1
        await made.pass_time(2)
        assert len(await names(made)) == 50
        body = await made.client.get(REPLICASETS, "default", "web")
        assert "conditions" not in body["status"]
        events = await made.client.list("events", "default")
        assert {event["reason"] for event in events} == {"FailedCreate", "SuccessfulCreate"}


@pytest.mark.looptime
async def test_pods_that_a_quota_forbids_are_tried_at_the_queues_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cloud() as made:
        create, refused_at = made.client.create, list[float]()

        async def note_refusals(resource: str, body: Body) -> Body:
            try:
                return await create(resource, body)
            except Forbidden:
                refused_at.append(made.clock.monotonic())
                raise

        monkeypatch.setattr(made.client, "create", note_refusals)
        quota = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"pods": "2"}}}
        await made.client.create("resourcequotas", quota)
        await made.settle()
        refused_at.clear()
        await made.client.create(REPLICASETS, replicaset(5))
        await made.pass_time(60)
        gaps = [later - earlier for earlier, later in pairwise(refused_at)]
        assert all(0.025 * 2**n <= gap <= 0.051 * 2**n for n, gap in enumerate(gaps))
        assert len(gaps) >= 8
        await made.client.patch("resourcequotas", "default", "q", {"spec": {"hard": {"pods": "9"}}})
        await made.pass_time(60)
        assert len(await names(made)) == 5


def test_the_first_failure_stands_until_there_is_none() -> None:
    body = replicaset(2)
    first = status(body, [], ("FailedCreate", 'pods "web-a" is forbidden'), NOW)
    again = status({**body, "status": first}, [], ("FailedCreate", 'pods "web-b" is forbidden'), NOW + 5)
    assert again == first
    assert "conditions" not in status({**body, "status": again}, [], None, NOW + 9)
