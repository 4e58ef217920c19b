"""kubectl meets what bounds it on a real cloud: disruption budgets, quotas, limits, ports; and reads what nodes use."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.clusters import QUICK, Cluster, running_cluster
from tests.support.kubectl import Kubectl
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

GUARDED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: none, command: [sleep, "3600"]}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 0, selector: {matchLabels: {app: web}}}
"""
LIMITS = """
apiVersion: v1
kind: LimitRange
metadata: {name: bounds}
spec: {limits: [{type: Container, max: {cpu: "2"}, default: {cpu: "1"}, defaultRequest: {cpu: 100m}}]}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("policies"), *QUICK) as running:
        await running.add_edge("edge-1")
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def kubectl(cluster: Cluster) -> Kubectl:
    return Kubectl(cluster.cloud.kubeconfig, cluster.folder)


async def test_a_drain_waits_for_what_the_budget_allows(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=GUARDED)
    await kubectl.ok("rollout", "status", "deployment/web", "--timeout=50s")

    async def allowed() -> str:
        return await kubectl.ok(
            "get", "pdb", "web", "-o", "jsonpath={.status.currentHealthy} {.status.disruptionsAllowed}"
        )

    async def counted() -> bool:
        return await allowed() == "2 0"

    await aeventually(counted)
    refused = await kubectl.run("drain", "edge-1", "--timeout=2s")
    assert refused.code != 0
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused.err
    assert len((await kubectl.json("get", "pods"))["items"]) == 2
    await kubectl.ok("delete", "pdb", "web")
    drained = await kubectl.ok("drain", "edge-1", "--timeout=40s")
    assert "node/edge-1 drained" in drained
    await kubectl.ok("uncordon", "edge-1")
    await kubectl.ok("delete", "deployment", "web")


async def test_a_quota_is_counted_and_kept(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "namespace", "shop")
    await kubectl.ok("-n", "shop", "create", "quota", "share", "--hard=pods=1,count/configmaps=2")

    async def known() -> bool:
        return "pods: 0/1" in await kubectl.ok("-n", "shop", "get", "quota", "share")

    await aeventually(known)
    await kubectl.ok("-n", "shop", "run", "one", "--image=x")
    refused = await kubectl.run("-n", "shop", "run", "two", "--image=x")
    assert refused.err == (
        'Error from server (Forbidden): pods "two" is forbidden: exceeded quota: share, requested: pods=1, '
        "used: pods=1, limited: pods=1\n"
    )
    await kubectl.ok("-n", "shop", "delete", "pod", "one", "--force", "--grace-period=0")
    await aeventually(known)
    assert "pods" in await kubectl.ok("-n", "shop", "describe", "quota", "share")


async def test_limits_are_filled_in_and_kept(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "namespace", "bounded")
    await kubectl.ok("-n", "bounded", "apply", "-f", "-", stdin=LIMITS)
    await kubectl.ok("-n", "bounded", "run", "one", "--image=x")
    (container,) = (await kubectl.json("-n", "bounded", "get", "pod", "one"))["spec"]["containers"]
    assert container["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}
    overrides = '{"spec":{"containers":[{"name":"two","image":"x","resources":{"limits":{"cpu":"3"}}}]}}'
    refused = await kubectl.run("-n", "bounded", "run", "two", "--image=x", f"--overrides={overrides}")
    assert "maximum cpu usage per Container is 2, but limit is 3" in refused.err


async def test_node_ports_and_the_service_of_the_server_itself(kubectl: Kubectl) -> None:
    assert "10.96.0.1" in await kubectl.ok("get", "service", "kubernetes")
    await kubectl.ok("create", "service", "nodeport", "a", "--tcp=80:80", "--node-port=30123")
    refused = await kubectl.run("create", "service", "nodeport", "b", "--tcp=80:80", "--node-port=30123")
    assert "spec.ports[0].nodePort: Invalid value: 30123: provided port is already allocated" in refused.err


async def test_what_nodes_use(kubectl: Kubectl) -> None:
    async def told() -> bool:
        return (await kubectl.run("top", "nodes")).code == 0

    await aeventually(told)
    heading, row = (await kubectl.ok("top", "nodes")).splitlines()
    assert heading.split() == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    assert row.split()[0] == "edge-1"


async def test_what_the_tunnel_will_bring_is_listed_and_not_implemented(kubectl: Kubectl) -> None:
    await kubectl.ok("run", "solo", "--image=x", "--overrides", '{"spec":{"schedulerName":"nobody"}}')
    for command in (("logs", "solo"), ("exec", "solo", "--", "ls"), ("attach", "solo")):
        refused = await kubectl.run(*command)
        assert refused.code != 0
        assert "Error from server (NotImplemented): this server cannot" in refused.err
