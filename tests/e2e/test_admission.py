"""A device takes, refuses, queues and preempts what is bound to it: kubectl, a real cloud and a real agent."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from protocol.objects.quantities import milli
from tests.support.clusters import QUICK, Cluster, pod, pod_processes, pods_at, running_cluster, status_of
from tests.support.kubectl import Kubectl
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

NODE = "edge-a"
ON_FULL = "edge.aiokubeedge.io/on-full"
FOREVER = "trap 'exit 0' TERM; sleep 3600 & wait"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("admission"), *QUICK) as running:
        await running.add_edge(NODE)
        yield running


@pytest.fixture
def kubectl(cluster: Cluster) -> Kubectl:
    return Kubectl(cluster.cloud.kubeconfig, cluster.folder)


async def share(cluster: Cluster, part: float) -> dict[str, dict[str, str]]:
    """Return resources that are ``part`` of the node's cpu."""
    node = await cluster.api.get("nodes", "", NODE)
    return {"requests": {"cpu": f"{int(milli(node['status']['allocatable']['cpu']) * part)}m"}}


async def bind(cluster: Cluster, name: str, part: float, *, on_full: str = "", **spec: Any) -> Body:
    """Create a pod that names the node itself, so that no scheduler looks whether it fits."""
    resources = await share(cluster, part)
    body = pod(name, FOREVER, nodeName=NODE, container={"resources": resources}, **spec)
    body["metadata"]["annotations"] = {ON_FULL: on_full} if on_full else {}
    return await cluster.api.create("pods", body)


async def delete(cluster: Cluster, *names: str) -> None:
    for name in names:
        await cluster.api.delete("pods", "default", name)
    for name in names:
        await cluster.gone("pods", name)


async def test_a_pod_that_does_not_fit_fails_as_with_the_kubelet(cluster: Cluster, kubectl: Kubectl) -> None:
    await bind(cluster, "filler", 0.6)
    await cluster.pod_is("filler")
    await bind(cluster, "big", 0.6)
    refused = await cluster.pod_is("big", "Failed")
    assert refused["status"]["reason"] == "OutOfcpu"
    assert "Node didn't have enough resource: cpu" in refused["status"]["message"]
    assert "OutOfcpu" in await kubectl.ok("get", "pod", "big", "--no-headers")
    assert pod_processes(cluster.edges[NODE]).keys().isdisjoint({refused["metadata"]["uid"]})
    resources = {"limits": {"example.com/camera": "1"}}
    await cluster.api.create("pods", pod("seeing", FOREVER, nodeName=NODE, container={"resources": resources}))
    assert (await cluster.pod_is("seeing", "Failed"))["status"]["reason"] == "OutOfexample.com/camera"
    await cluster.api.create("pods", pod("picky", FOREVER, nodeName=NODE, nodeSelector={"zone": "nowhere"}))
    assert (await cluster.pod_is("picky", "Failed"))["status"]["reason"] == "NodeAffinity"
    await delete(cluster, "filler", "big", "seeing", "picky")


async def test_preemption_by_priority_when_asked(cluster: Cluster, kubectl: Kubectl) -> None:
    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
    await cluster.api.create("priorityclasses.scheduling.k8s.io", {**urgent, "metadata": {"name": "urgent"}})
    await bind(cluster, "plain", 0.6)
    await cluster.pod_is("plain")
    await bind(cluster, "alarm", 0.6, on_full="preempt", priorityClassName="urgent")
    await cluster.pod_is("alarm")
    ended = await cluster.pod_is("plain", "Failed")
    assert ended["status"]["reason"] == "Preempting"
    disrupted = find_condition(ended["status"]["conditions"], "DisruptionTarget")
    assert disrupted is not None
    assert disrupted["status"] == "True"
    assert "Preempted in order to admit pod default/alarm" in await kubectl.ok("describe", "pod", "plain")
    await delete(cluster, "plain", "alarm")


async def test_who_waits_begins_when_there_is_room_also_cut_off_and_after_a_crash(
    cluster: Cluster, kubectl: Kubectl
) -> None:
    edge = cluster.edges[NODE]
    first = await bind(cluster, "first", 0.6, restartPolicy="Never")
    await cluster.pod_is("first")
    waiting = await bind(cluster, "patient", 0.6, on_full="queue")

    async def is_queued() -> bool:
        conditions = (await cluster.api.get("pods", "default", "patient")).get("status", {}).get("conditions")
        condition = find_condition(conditions, "edge.aiokubeedge.io/Admitted")
        return condition is not None and (condition["status"], condition["reason"]) == ("False", "OutOfcpu")

    await aeventually(is_queued, within_s=30)
    assert "Queued" in await kubectl.ok("describe", "pod", "patient")
    await aeventually(lambda: node_says(kubectl, "1 pods wait for room"), within_s=30)

    await cluster.cloud.daemon.kill()
    await edge.daemon.kill()
    await edge.start()
    await aeventually(lambda: status_of(edge)["agent"]["running"], within_s=30)
    assert pods_at(edge)["patient"]["status"] == "Pending"
    for pid in pod_processes(edge)[first["metadata"]["uid"]]:
        os.kill(pid, signal.SIGKILL)
    await aeventually(lambda: waiting["metadata"]["uid"] in pod_processes(edge), within_s=30)
    await cluster.cloud.start()
    await cluster.pod_is("patient")
    await cluster.pod_is("first", "Failed")


async def node_says(kubectl: Kubectl, text: str) -> bool:
    return text in await kubectl.ok("describe", "node", NODE)
