from __future__ import annotations

from typing import Any

import pytest

from cloudcore.apiserver.admission import Limits, admission_chain
from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.errors import Forbidden, NotFound, TooManyRequests
from protocol.objects.keys import Body
from tests.support.registries import a_pod, make_registry


async def created(client: LocalClient, **spec: Any) -> Body:
    stored = await client.create("pods", a_pod(**spec))
    result: Body = stored["spec"]
    return result


async def test_a_priority_class_becomes_a_number(client: LocalClient) -> None:
    assert (await created(client))["priority"] == 0
    high = {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"}
    await client.create("priorityclasses.scheduling.k8s.io", high)
    stored = await client.create("pods", a_pod("b", priorityClassName="high"))
    assert (stored["spec"]["priority"], stored["spec"]["preemptionPolicy"]) == (1000, "Never")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"priorityClassName": "nope"}, "no PriorityClass with name nope was found"),
        ({"priority": 5}, "must not be provided in pod spec"),
        ({"runtimeClassName": "gvisor"}, 'pod rejected: RuntimeClass "gvisor" not found'),
        ({"runtimeClassName": "process", "overhead": {"cpu": "1"}}, "Overhead doesn't match"),
    ],
)
async def test_a_pod_that_asks_for_what_is_not_there_is_forbidden(
    client: LocalClient, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(Forbidden, match=message):
        await created(client, **spec)
    with pytest.raises(NotFound):
        await client.get("pods", "default", "web")


async def test_a_runtime_class_adds_what_it_needs(client: LocalClient) -> None:
    toleration = {"key": "kata", "operator": "Exists"}
    body = {
        "metadata": {"name": "kata"},
        "handler": "kata",
        "overhead": {"podFixed": {"memory": "64Mi"}},
        "scheduling": {"nodeSelector": {"kata": "yes"}, "tolerations": [toleration]},
    }
    await client.create("runtimeclasses.node.k8s.io", body)
    spec = await created(client, runtimeClassName="kata", nodeSelector={"zone": "a"})
    assert spec["overhead"] == {"memory": "64Mi"}
    assert spec["nodeSelector"] == {"zone": "a", "kata": "yes"}
    assert toleration in spec["tolerations"]
    with pytest.raises(Forbidden, match="conflict"):
        await client.create("pods", a_pod("b", runtimeClassName="kata", nodeSelector={"kata": "no"}))


async def test_a_cloud_may_have_a_default_runtime_class() -> None:
    registry = make_registry(admission_chain(default_runtime_class="process"))
    await bootstrap(registry)
    stored = await LocalClient(registry).create("pods", a_pod())
    assert stored["spec"]["runtimeClassName"] == "process"
    await registry.store.close()


async def test_a_full_queue_turns_pods_away_for_now(client: LocalClient, limits: Limits, backlog: list[int]) -> None:
    limits.max_pending_pods, backlog[0] = 5, 5
    with pytest.raises(TooManyRequests) as caught:
        await client.create("pods", a_pod())
    assert caught.value.retry_after_s == 1
    assert "5 of 5 pods wait" in caught.value.message
    await client.create("pods", a_pod("critical", priorityClassName="system-node-critical"))
    await client.create("pods", a_pod("static", nodeName="edge-1"))
    await client.create("configmaps", {"metadata": {"name": "a", "namespace": "default"}})
    limits.max_pending_pods = 6
    await client.create("pods", a_pod())
