"""A node is cut off, its agent is killed and started again meanwhile, and the link returns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from cloudcore.errors import NotFound
from examples.demo.processes import Edge, Gate, until
from protocol.objects.keys import Body
from tests.support.clusters import (
    QUICK,
    Cluster,
    config_map,
    container_status,
    link_of,
    log_lines,
    pod,
    pod_processes,
    pods_at,
    running_cluster,
    status_of,
)
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

UNREACHABLE = "node.kubernetes.io/unreachable"
FOREVER = "trap 'exit 0' TERM; sleep 3600 & wait"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("offline"), *QUICK) as running:
        await running.add_edge("home", labels={"topology.kubernetes.io/zone": "home"})
        yield running


@dataclass
class Away:
    """An edge whose link can be cut."""

    cluster: Cluster
    edge: Edge
    gate: Gate

    async def cut(self) -> Body:
        """Cut the link and return the node once the cloud has noticed."""
        self.gate.shut()
        return await self.cluster.node_is(self.edge.node, "Unknown")

    async def restart(self) -> None:
        """Start the agent, which was killed."""
        await self.edge.daemon.start()
        await aeventually(
            lambda: status_of(self.edge)["agent"] == {"running": True, "pid": self.edge.daemon.pid},
            what="the agent runs again",
        )

    async def mend(self) -> None:
        """Mend the link and wait until both sides say so."""
        self.gate.reopen()
        await aeventually(lambda: link_of(self.edge)["phase"] == "connected", within_s=60, what="the agent is back")
        await self.cluster.node_is(self.edge.node, "True")

        await aeventually(lambda: status_of(self.edge)["owed"] == 0, what="the agent has told everything")


@asynccontextmanager
async def away(cluster: Cluster, node: str) -> AsyncIterator[Away]:
    async with Gate(cluster.cloud.ports["ws_port"]) as gate:
        edge = await cluster.add_edge(node, gate=gate, labels={"topology.kubernetes.io/zone": node})
        yield Away(cluster, edge, gate)
        await edge.daemon.stop()


async def restarted_alone(edge: Edge, name: str) -> None:
    """Wait until the agent has started a pod's container again, as it says itself."""

    await aeventually(
        lambda: pods_at(edge)[name]["restarts"] == 1, within_s=40, what=f"{name} was started again without the cloud"
    )


def uid_of(body: Body) -> str:
    return str(body["metadata"]["uid"])


async def test_what_ran_is_adopted_what_ended_is_told_and_what_changed_arrives(
    cluster: Cluster, tmp_path: Path
) -> None:
    api = cluster.api
    async with away(cluster, "attic") as device:
        flag = tmp_path / "now"
        waits = f"until [ -e {flag} ]; do sleep 0.1; done"
        await api.create("configmaps", config_map("words", greeting="before"))
        scripts = {
            "keeper": FOREVER,
            "dies": f"{waits}; [ -e {flag}.seen ] && exec sleep 3600; touch {flag}.seen; exit 3",
            "job": f"{waits}; exit 7",
            "fine-job": f"{waits}; exit 0",
            "deleted": FOREVER,
            "forced": FOREVER,
            "again": FOREVER,
        }
        never = {"job", "fine-job"}
        for name, script in scripts.items():
            policy = "Never" if name in never else "Always"
            await api.create("pods", pod(name, script, nodeName="attic", restartPolicy=policy))
        reader = pod(
            "reader",
            "exec sleep 3600",
            nodeName="attic",
            container={"volumeMounts": [{"name": "words", "mountPath": "/words"}]},
            volumes=[{"name": "words", "configMap": {"name": "words"}}],
        )
        await api.create("pods", reader)
        before = {name: await cluster.pod_is(name) for name in [*scripts, "reader"]}
        pids = pod_processes(device.edge)

        node = await device.cut()
        assert UNREACHABLE in {taint["key"] for taint in node["spec"]["taints"]}
        await device.edge.daemon.kill()
        flag.touch()
        for name in ("dies", *never):
            await cluster.ended(device.edge, uid_of(before[name]))
        await api.patch("configmaps", "default", "words", {"data": {"greeting": "after"}})
        await api.delete("pods", "default", "deleted")
        for name in ("forced", "again"):
            await api.delete("pods", "default", name, grace_s=0)
            await cluster.gone("pods", name)
        again = await api.create("pods", pod("again", FOREVER, nodeName="attic"))
        await api.create("pods", pod("new", FOREVER, nodeName="attic"))

        await device.restart()

        await restarted_alone(device.edge, "dies")
        now = pod_processes(device.edge)
        for name in ("keeper", "reader", "deleted", "forced", "again"):
            assert now[uid_of(before[name])] == pids[uid_of(before[name])], f"{name} was not adopted"
        assert not {uid_of(before[name]) for name in never} & set(now), "a finished pod was run again"
        assert (await api.get("pods", "default", "keeper"))["metadata"].get("deletionTimestamp") is None
        assert (await api.get("pods", "default", "job"))["status"]["phase"] == "Running"

        await device.mend()
        for name, phase, code in (("job", "Failed", 7), ("fine-job", "Succeeded", 0)):
            body = await cluster.pod_is(name, phase)
            assert container_status(body)["state"]["terminated"]["exitCode"] == code
            assert container_status(body)["restartCount"] == 0
        died = container_status(await cluster.pod_is("dies"))
        assert (died["restartCount"], died["lastState"]["terminated"]["exitCode"]) == (1, 3)
        await cluster.gone("pods", "deleted")
        for name in ("deleted", "forced", "again"):
            await cluster.ended(device.edge, uid_of(before[name]))
        assert uid_of(await cluster.pod_is("again")) == uid_of(again)
        await cluster.pod_is("new")
        shown = device.edge.data_dir / "pods" / uid_of(before["reader"]) / "containers/main/root/words/greeting"
        await aeventually(lambda: shown.read_text() == "after", what="the changed ConfigMap is in the pod")
        for name in ("keeper", "reader"):
            body = await cluster.pod_is(name)
            assert uid_of(body) == uid_of(before[name])
            assert container_status(body)["restartCount"] == 0
            assert container_status(body)["state"] == container_status(before[name])["state"]
            assert pod_processes(device.edge)[uid_of(body)] == pids[uid_of(body)]
        assert UNREACHABLE not in str((await api.get("nodes", "", "attic"))["spec"].get("taints"))
        running = {uid_of(body) for body in await api.list("pods", field_selector="spec.nodeName=attic")}
        assert set(pod_processes(device.edge)) == running - {uid_of(before[name]) for name in never}


async def test_statuses_from_meanwhile_arrive_and_keep_pods_are_never_evicted(cluster: Cluster, tmp_path: Path) -> None:
    api = cluster.api
    async with away(cluster, "barn") as device:
        flag = tmp_path / "crash"
        await api.create("pods", pod("steady", FOREVER, nodeName="barn"))
        # A pod whose own toleration runs out is evicted; one that says nothing is kept.
        own = [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}]
        await api.create("pods", pod("impatient", FOREVER, nodeName="barn", tolerations=own))
        script = f"while [ ! -e {flag} ]; do sleep 0.1; done; rm {flag}; exit 9"
        await api.create("pods", pod("crasher", script, nodeName="barn"))
        for name in ("steady", "impatient", "crasher"):
            await cluster.pod_is(name)
        await device.cut()
        flag.touch()

        await restarted_alone(device.edge, "crasher")
        assert status_of(device.edge)["owed"] > 0

        async def evicted() -> bool:
            return bool((await api.get("pods", "default", "impatient"))["metadata"].get("deletionTimestamp"))

        await aeventually(evicted, within_s=40)
        assert "deletionTimestamp" not in (await api.get("pods", "default", "steady"))["metadata"]
        assert "deletionTimestamp" not in (await api.get("pods", "default", "crasher"))["metadata"]
        before = pod_processes(device.edge)
        await device.mend()
        crash = container_status(await cluster.pod_is("crasher"))
        assert (crash["restartCount"], crash["lastState"]["terminated"]["exitCode"]) == (1, 9)
        await cluster.gone("pods", "impatient")
        steady = uid_of(await cluster.pod_is("steady"))
        assert pod_processes(device.edge)[steady] == before[steady]


async def test_a_replace_pod_moves_to_another_node_and_its_old_copy_ends_at_the_reunion(cluster: Cluster) -> None:
    api = cluster.api
    async with away(cluster, "cellar") as device:
        await api.patch("nodes", "", "home", {"spec": {"unschedulable": True}})
        where = [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["cellar", "home"]}]
        affinity = {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": where}]}
            }
        }
        template = pod("x", FOREVER, affinity=affinity)
        template["metadata"] = {
            "labels": {"app": "mover"},
            "annotations": {
                "edge.aiokubeedge.io/on-disconnect": "replace",
                "edge.aiokubeedge.io/lost-after": "1s",
            },
        }
        labels = {"app": "mover"}
        await api.create(
            "deployments.apps",
            {
                "metadata": {"name": "mover", "namespace": "default"},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": template["metadata"], "spec": template["spec"]},
                },
            },
        )

        async def running_on(node: str) -> Body | None:
            for body in await api.list("pods", "default", label_selector="app=mover"):
                if body["spec"].get("nodeName") == node and "running" in (container_status(body).get("state") or {}):
                    return body
            return None

        old = await until("the pod runs on the node that will be cut off", lambda: running_on("cellar"))
        await api.patch("nodes", "", "home", {"spec": {"unschedulable": None}})
        await device.cut()
        new = await until("the pod runs on the other node", lambda: running_on("home"))
        assert uid_of(old) in pod_processes(device.edge), "what is cut off goes on"
        await device.mend()
        await cluster.gone("pods", old["metadata"]["name"])
        await cluster.ended(device.edge, uid_of(old))
        assert [uid_of(body) for body in await api.list("pods", "default", label_selector="app=mover")] == [uid_of(new)]


async def test_a_short_cut_goes_unnoticed(cluster: Cluster) -> None:
    async with away(cluster, "den") as device:
        await cluster.api.create("pods", pod("calm", FOREVER, nodeName="den"))
        before = await cluster.pod_is("calm")
        device.gate.shut()
        await aeventually(lambda: link_of(device.edge)["phase"] == "offline", what="the agent has noticed")
        await device.mend()
        after = await cluster.pod_is("calm")
        assert after["status"] == before["status"]
        node = await cluster.api.get("nodes", "", "den")
        assert not node["spec"].get("taints")
        assert [line["event"] for line in log_lines(device.edge.daemon)].count("connected") == 2


async def test_a_force_deleted_pod_is_gone_from_the_api_at_once(cluster: Cluster) -> None:
    async with away(cluster, "loft") as device:
        await cluster.api.create("pods", pod("stubborn", "trap '' TERM; while :; do sleep 0.2; done", nodeName="loft"))
        body = await cluster.pod_is("stubborn")
        device.gate.shut()
        await cluster.api.delete("pods", "default", "stubborn", grace_s=0)
        with pytest.raises(NotFound):
            await cluster.api.get("pods", "default", "stubborn")
        assert uid_of(body) in pod_processes(device.edge)
        await device.mend()
        await cluster.ended(device.edge, uid_of(body))
