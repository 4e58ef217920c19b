"""kubectl against a real cloud with real edges: what a person does in a day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from examples.demo.processes import StepFailed, until
from tests.support.clusters import QUICK, Cluster, link_of, log_lines, pod_processes, run, running_cluster, status_of
from tests.support.kubectl import Kubectl
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: "app:1"
        command: ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"]
"""


def pod(name: str, script: str, more: str = "", container: str = "") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: main, image: none, command: ["sh", "-c", "{script}"]{container}}}
  {more}
"""


class Namespace:
    """kubectl in a namespace of its own."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self._kubectl = kubectl
        self.name = name

    async def ok(self, *args: str, stdin: str = "") -> str:
        return await self._kubectl.ok(f"--namespace={self.name}", *args, stdin=stdin)

    async def apply(self, manifest: str) -> str:
        return await self.ok("apply", "-f", "-", stdin=manifest)

    async def json(self, *args: str) -> Any:
        return await self._kubectl.json(f"--namespace={self.name}", *args)

    async def refused(self, *args: str, stdin: str = "") -> str:
        """Run kubectl, require that it fails, and return what it complained."""
        outcome = await self._kubectl.run(f"--namespace={self.name}", *args, stdin=stdin)
        assert outcome.code != 0, outcome.out
        return outcome.err

    async def shows(self, *args: str, text: str, within_s: float = 60) -> str:
        """Run kubectl until what it prints holds ``text``."""
        seen = ""

        async def look() -> bool:
            nonlocal seen
            seen = (await self._kubectl.run(f"--namespace={self.name}", *args)).out
            return text in seen

        try:
            await until("kubectl shows it", look, within_s=within_s, poll_s=0.3)
        except StepFailed:
            pytest.fail(f"kubectl {' '.join(args)} never showed {text!r}, but:\n{seen}")
        return seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("kubectl"), *QUICK) as running:
        await running.add_edge("edge-a", labels={"site": "hall-3"})
        yield running


@pytest.fixture
def kubectl(cluster: Cluster) -> Kubectl:
    return Kubectl(cluster.cloud.kubeconfig, cluster.folder)


@pytest_asyncio.fixture(loop_scope="module")
async def ns(kubectl: Kubectl, request: pytest.FixtureRequest) -> AsyncIterator[Namespace]:
    name = request.node.name.replace("test_", "").replace("_", "-")[:50].strip("-")
    await kubectl.ok("create", "namespace", name)
    yield Namespace(kubectl, name)
    await kubectl.ok("delete", "namespace", name, "--wait=false")


async def uids(ns: Namespace, selector: str = "app=web") -> set[str]:
    """Return the uids of the pods that are not being deleted."""
    listed = (await ns.json("get", "pods", "-l", selector))["items"]
    return {body["metadata"]["uid"] for body in listed if "deletionTimestamp" not in body["metadata"]}


async def test_a_rollout_and_its_way_back(cluster: Cluster, ns: Namespace) -> None:
    await ns.apply(DEPLOYMENT)
    assert "successfully rolled out" in await ns.ok("rollout", "status", "deployment/web", "--timeout=60s")
    await ns.ok("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    first = await uids(ns)
    assert len(first) == 2
    assert first <= set(pod_processes(cluster.edges["edge-a"]))
    assert "configured" in await ns.apply(DEPLOYMENT.replace("app:1", "app:2"))
    await ns.ok("rollout", "status", "deployment/web", "--timeout=60s")
    second = await uids(ns)
    assert len(second) == 2
    assert not first & second
    for uid in first:
        await cluster.ended(cluster.edges["edge-a"], uid)
    history = await ns.ok("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:4]] == ["1", "2"]
    assert "app:1" in await ns.ok("rollout", "history", "deployment/web", "--revision=1")

    await ns.ok("rollout", "undo", "deployment/web")
    await ns.ok("rollout", "status", "deployment/web", "--timeout=60s")
    third = await uids(ns)
    images = {body["spec"]["containers"][0]["image"] for body in (await ns.json("get", "pods"))["items"]}
    assert "app:1" in images
    assert not second & third
    await ns.ok("rollout", "restart", "deployment/web")
    await ns.ok("rollout", "status", "deployment/web", "--timeout=60s")
    assert not third & await uids(ns)


async def test_scale_up_down_and_to_nothing(cluster: Cluster, ns: Namespace) -> None:
    await ns.apply(DEPLOYMENT)
    await ns.ok("scale", "deployment/web", "--replicas=4")
    await ns.ok("wait", "--for=jsonpath={.status.readyReplicas}=4", "deployment/web", "--timeout=60s")
    assert "4/4" in await ns.ok("get", "deployment", "web")
    was = await uids(ns)
    await ns.ok("scale", "deployment/web", "--replicas=1")
    await ns.shows("get", "deployment", "web", text="1/1")
    assert len(await uids(ns) & was) == 1
    await ns.ok("scale", "deployment/web", "--replicas=0")
    await ns.ok("wait", "--for=delete", "pods", "-l", "app=web", "--timeout=60s")
    await aeventually(lambda: not was & set(pod_processes(cluster.edges["edge-a"])))


async def test_a_deleted_pod_ends_gracefully_and_is_replaced(cluster: Cluster, ns: Namespace) -> None:
    await ns.apply(DEPLOYMENT.replace("replicas: 2", "replicas: 1"))
    await ns.ok("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    (uid,) = await uids(ns)
    name = (await ns.json("get", "pods"))["items"][0]["metadata"]["name"]
    assert "deleted" in await ns.ok("delete", "pod", name, "--timeout=30s")
    assert uid not in pod_processes(cluster.edges["edge-a"]), "kubectl waits until the node has stopped it"
    await ns.ok("rollout", "status", "deployment/web", "--timeout=60s")
    (after,) = await uids(ns)
    assert after != uid
    await ns.shows("get", "events", text="Killing")


async def test_describe_tells_what_happened(ns: Namespace) -> None:
    await ns.apply(pod("solo", "exec sleep 3600"))
    await ns.ok("wait", "--for=condition=Ready", "pod/solo", "--timeout=30s")
    await ns.shows("describe", "pod", "solo", text="Started")
    told = await ns.ok("describe", "pod", "solo")
    assert "Successfully assigned" in told
    assert "edge-a/127.0.0.1" in told or "edge-a/" in told
    wide = await ns.ok("get", "pod", "solo", "-o", "wide")
    assert "edge-a" in wide
    assert "cannot fetch the logs of edge pods yet" in await ns.refused("logs", "solo")
    told = await ns.ok("describe", "node", "edge-a")
    assert "site=hall-3" in told
    assert "solo" in told, "the node's pods are listed"
    assert "Ready" in await ns.ok("get", "nodes")


async def test_a_crash_loop_is_shown_and_backed_off(ns: Namespace) -> None:
    await ns.apply(pod("crasher", "exit 5"))
    await ns.shows("get", "pods", text="CrashLoopBackOff")
    body = await ns.json("get", "pod", "crasher")
    status = body["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 5
    assert status["restartCount"] >= 1
    await ns.shows("describe", "pod", "crasher", text="BackOff")
    assert "Exit Code:    5" in await ns.ok("describe", "pod", "crasher")


async def test_a_pod_that_fits_nowhere_says_which_filter_turned_away_how_many(ns: Namespace) -> None:
    await ns.apply(pod("picky", "true", "nodeSelector: {site: nowhere}"))
    await ns.apply(pod("hungry", "true", container=', resources: {requests: {cpu: "4000"}}'))
    await ns.shows("describe", "pod", "picky", text="didn't match Pod's node affinity/selector")
    told = await ns.shows("describe", "pod", "hungry", text="Insufficient cpu")
    assert "FailedScheduling" in told
    assert "nodes are available" in told
    assert (await ns.json("get", "pod", "hungry"))["status"]["conditions"][0]["reason"] == "Unschedulable"


async def test_a_missing_config_map_is_waited_for(ns: Namespace) -> None:
    env = ", env: [{name: WORD, valueFrom: {configMapKeyRef: {name: later, key: word}}}]"
    await ns.apply(pod("patient", "exec sleep 3600", container=env))
    await ns.shows("get", "pods", text="CreateContainerConfigError")
    await ns.shows("describe", "pod", "patient", text='configmap "later" not found')
    await ns.ok("create", "configmap", "later", "--from-literal=word=now")
    await ns.ok("wait", "--for=condition=Ready", "pod/patient", "--timeout=60s")


async def test_taints_and_cordons_keep_pods_away(kubectl: Kubectl, ns: Namespace) -> None:
    await kubectl.ok("taint", "nodes", "edge-a", "work=night:NoSchedule")
    try:
        await ns.apply(pod("day", "exec sleep 3600"))
        await ns.shows("describe", "pod", "day", text="untolerated taint")
        tolerated = "tolerations: [{key: work, operator: Equal, value: night, effect: NoSchedule}]"
        await ns.apply(pod("night", "exec sleep 3600", tolerated))
        await ns.ok("wait", "--for=condition=Ready", "pod/night", "--timeout=30s")
    finally:
        await kubectl.ok("taint", "nodes", "edge-a", "work-")
    await ns.ok("wait", "--for=condition=Ready", "pod/day", "--timeout=30s")
    await kubectl.ok("cordon", "edge-a")
    try:
        assert "SchedulingDisabled" in await kubectl.ok("get", "nodes")
        await ns.apply(pod("late", "exec sleep 3600"))
        await ns.shows("describe", "pod", "late", text="unschedulable")
    finally:
        await kubectl.ok("uncordon", "edge-a")
    await ns.ok("wait", "--for=condition=Ready", "pod/late", "--timeout=30s")


async def test_a_no_execute_taint_drives_pods_out(cluster: Cluster, kubectl: Kubectl, ns: Namespace) -> None:
    await cluster.add_edge("edge-b", labels={"site": "yard"})
    await ns.apply(pod("leaver", "exec sleep 3600", "nodeSelector: {site: yard}"))
    stays = "tolerations: [{operator: Exists}]\n  nodeSelector: {site: yard}"
    await ns.apply(pod("stayer", "exec sleep 3600", stays))
    await ns.ok("wait", "--for=condition=Ready", "pod/leaver", "pod/stayer", "--timeout=30s")
    await kubectl.ok("taint", "nodes", "edge-b", "flood=true:NoExecute")
    await ns.ok("wait", "--for=delete", "pod/leaver", "--timeout=30s")
    assert "Running" in await ns.ok("get", "pod", "stayer")
    assert len(pod_processes(cluster.edges["edge-b"])) == 1


async def test_a_deleted_namespace_takes_everything_along(cluster: Cluster, kubectl: Kubectl) -> None:
    await kubectl.ok("create", "namespace", "doomed")
    doomed = Namespace(kubectl, "doomed")
    await doomed.apply(DEPLOYMENT)
    await doomed.ok("create", "configmap", "left", "--from-literal=a=b")
    await doomed.ok("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    was = await uids(doomed)
    await kubectl.ok("delete", "namespace", "doomed", "--timeout=60s")
    assert not was & set(pod_processes(cluster.edges["edge-a"]))
    assert await doomed.ok("get", "all,configmaps", "-o", "name") == ""
    assert "NotFound" in await doomed.refused("get", "namespace", "doomed")


async def test_the_agent_of_a_deleted_node_is_refused_and_keeps_its_pods(
    cluster: Cluster, kubectl: Kubectl, ns: Namespace
) -> None:
    edge = await cluster.add_edge("edge-c", labels={"site": "roof"})
    await ns.apply(pod("orphan", "exec sleep 3600", "nodeSelector: {site: roof}"))
    await ns.ok("wait", "--for=condition=Ready", "pod/orphan", "--timeout=30s")
    running = pod_processes(edge)
    await kubectl.ok("delete", "node", "edge-c")
    await aeventually(lambda: link_of(edge)["phase"] == "refused", within_s=30)
    status = status_of(edge)
    assert status["link"]["code"] == 4041
    assert "this node was deleted" in status["link"]["reason"]

    def refusals() -> int:
        lines = log_lines(edge.daemon)
        return [line["event"] for line in lines].count("refused by the cloud, pods keep running")

    assert refusals() == 1
    table = await run("edgecore", "status", f"--data-dir={edge.data_dir}")
    assert "refused" in table.out
    await edge.daemon.kill()
    await edge.daemon.start()
    await aeventually(lambda: refusals() == 2)
    assert pod_processes(edge) == running
    assert "edge-c" not in await kubectl.ok("get", "nodes")


async def test_nodes_shows_links(cluster: Cluster) -> None:
    table = await run("cloudcore", "nodes", f"--data-dir={cluster.cloud.data_dir}")
    assert table.code == 0, table.err
    line = next(line for line in table.out.splitlines() if "edge-a" in line)
    assert line.split()[1:3] == ["Ready", "websocket"]


async def test_an_unknown_field_is_named_and_nothing_is_stored(ns: Namespace) -> None:
    complaint = await ns.refused("apply", "-f", "-", stdin=DEPLOYMENT.replace("image:", "imge:"))
    assert 'unknown field "spec.template.spec.containers[0].imge"' in complaint
    complaint = await ns.refused("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: -1"))
    assert "spec.replicas" in complaint
    complaint = await ns.refused("apply", "-f", "-", stdin=DEPLOYMENT.replace("matchLabels: {app: web}", ""))
    assert "spec.selector" in complaint
    assert await ns.ok("get", "deployments", "-o", "name") == ""
