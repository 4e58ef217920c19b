"""A cloud beside a Kubernetes cluster: another cloud plays the cluster, kubectl speaks to that one alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import yaml

from examples.demo.processes import Cloud, Edge, Gate, until
from tests.support.clusters import (
    QUICK,
    Cluster,
    config_map,
    link_of,
    log_lines,
    pod,
    pod_processes,
    run,
    running_cluster,
)
from tests.support.kubectl import Kubectl
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

FOREVER = "trap 'exit 0' TERM; sleep 3600 & wait"


@dataclass
class Lab:
    """``cluster.cloud`` plays the cluster; ``member`` is beside it, behind a gate; ``edge`` is a node of the member."""

    cluster: Cluster
    member: Cloud
    gate: Gate
    edge: Edge
    link: Gate

    def sessions(self) -> int:
        """Return how many sessions the member has opened."""
        return sum(line.get("event") == "node connected" for line in log_lines(self.member.daemon))

    def pids(self, uid: str) -> list[int]:
        return pod_processes(self.edge).get(uid, [])

    async def member_logged(self, event: str, **fields: object) -> None:
        def found() -> bool:
            return any(
                line.get("event") == event and fields.items() <= line.items() for line in log_lines(self.member.daemon)
            )

        await aeventually(found, within_s=60, what=f"the member has logged {event!r}")


def through(kubeconfig: Path, port: int, to: Path) -> Path:
    """Write a copy of a kubeconfig whose server is behind a gate."""
    document = yaml.safe_load(kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    to.write_text(yaml.safe_dump(document))
    return to


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    folder = tmp_path_factory.mktemp("member")
    async with running_cluster(folder, *QUICK) as cluster, Gate(cluster.cloud.ports["api_port"]) as gate:
        kubeconfig = through(cluster.cloud.kubeconfig, gate.port, folder / "member.kubeconfig")
        member = Cloud(folder / "member", "--store=kubernetes", f"--kubeconfig={kubeconfig}", *QUICK)
        try:
            await member.start()
            async with Gate(member.ports["ws_port"]) as link:
                edge = cluster.edges["away"] = Edge(folder / "away", "away")
                await edge.join(member)
                await edge.start(f"--hub=wss://127.0.0.1:{link.port}")
                await cluster.node_is("away", "True")
                yield Lab(cluster, member, gate, edge, link)
        except BaseException:
            print(f"── the member's log ends ──\n{member.daemon.tail()}")  # noqa: T201 - pytest shows it
            raise
        finally:
            await member.daemon.stop()


async def test_kubectl_of_the_cluster_runs_a_pod_on_the_edge_and_sees_its_end(lab: Lab, tmp_path: Path) -> None:
    api = lab.cluster.api
    kubectl = Kubectl(lab.cluster.cloud.kubeconfig, tmp_path)
    await api.create("configmaps", config_map("words", greeting="hello"))
    script = f"cat /words/greeting; {FOREVER}"
    body = pod(
        "web",
        script,
        nodeName="away",
        container={"volumeMounts": [{"name": "words", "mountPath": "/words"}]},
        volumes=[{"name": "words", "configMap": {"name": "words"}}],
    )
    body["metadata"]["labels"] = {"app": "web"}
    await kubectl.ok("apply", "-f", "-", stdin=yaml.safe_dump(body))
    running = await lab.cluster.pod_is("web")
    assert running["metadata"]["labels"] == {"app": "web"}, "a report of the status leaves the rest alone"
    await kubectl.ok("delete", "pod", "web", "--wait=true")
    await lab.cluster.ended(lab.edge, running["metadata"]["uid"])


async def test_the_member_is_restarted_while_its_edge_is_cut_off(lab: Lab) -> None:
    await lab.cluster.api.create("pods", pod("steady", FOREVER, nodeName="away"))
    await lab.cluster.api.create("pods", pod("leaving", FOREVER, nodeName="away"))
    steady, leaving = await lab.cluster.pod_is("steady"), await lab.cluster.pod_is("leaving")
    before = lab.pids(steady["metadata"]["uid"])
    lab.link.shut()
    await lab.cluster.node_is("away", "Unknown")
    await lab.member.daemon.kill()
    await lab.cluster.api.delete("pods", "default", "leaving")
    await lab.cluster.api.create("pods", pod("late", FOREVER, nodeName="away"))
    await lab.member.start()
    lab.link.reopen()
    await lab.cluster.node_is("away", "True")
    await lab.cluster.pod_is("late")
    await lab.cluster.gone("pods", "leaving")
    await lab.cluster.ended(lab.edge, leaving["metadata"]["uid"])
    assert lab.pids(steady["metadata"]["uid"]) == before, "what nobody changed goes on"


async def test_the_cluster_is_killed_and_comes_back(lab: Lab) -> None:
    before = lab.sessions()
    await lab.cluster.cloud.daemon.kill()
    await lab.member_logged("not followed", resource="pods")
    await lab.cluster.cloud.start()
    await lab.cluster.api.create("pods", pod("after", FOREVER, nodeName="away"))
    await lab.cluster.pod_is("after")
    await lab.cluster.node_is("away", "True")
    assert lab.sessions() == before, "the edge's session outlives the cluster"


async def test_while_the_cluster_is_away_the_edge_works_and_what_it_says_waits(lab: Lab) -> None:
    once = pod("once", "while [ ! -e go ]; do sleep 0.1; done", nodeName="away", restartPolicy="Never")
    await lab.cluster.api.create("pods", once)
    running = await lab.cluster.pod_is("once")
    uid = running["metadata"]["uid"]
    lab.gate.shut()
    await lab.cluster.node_is("away", "Unknown")
    assert link_of(lab.edge)["phase"] == "connected"
    (pid, *_rest) = lab.pids(uid)
    Path(f"/proc/{pid}/cwd/go").touch()
    await aeventually(lambda: not lab.pids(uid), within_s=30, what="the pod's process has ended")
    lab.gate.reopen()
    await lab.cluster.pod_is("once", "Succeeded")
    await lab.cluster.node_is("away", "True")


async def test_any_replica_takes_any_node(lab: Lab) -> None:
    kubeconfig = lab.cluster.folder / "member.kubeconfig"
    second = Cloud(lab.cluster.folder / "second", "--store=kubernetes", f"--kubeconfig={kubeconfig}", *QUICK)
    try:
        await second.start()
        roaming = lab.cluster.edges["roaming"] = Edge(lab.cluster.folder / "roaming", "roaming")
        await roaming.join(lab.member)
        await roaming.start(f"--hub=wss://127.0.0.1:{second.ports['ws_port']}")
        await lab.cluster.node_is("roaming", "True")
        await lab.cluster.api.create("pods", pod("there", FOREVER, nodeName="roaming"))
        await lab.cluster.pod_is("there")
    finally:
        await second.daemon.stop()


async def test_the_links_are_measured_as_on_the_other_engine(lab: Lab) -> None:
    async def told() -> bool:
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{lab.member.ports['metrics_port']}/metrics") as response:
                text = await response.text()
        return "link_bytes_total{" in text

    await until("the metrics count the links' bytes", told, within_s=30)


async def test_the_commands_find_the_cluster_by_the_data_folder(lab: Lab) -> None:
    async def connected() -> bool:
        nodes = await run("cloudcore", "nodes", f"--data-dir={lab.member.data_dir}", "--output=json")
        return nodes.code == 0 and '"connected": true' in nodes.out

    await until("cloudcore nodes shows the link", connected, within_s=30)
    second = await run(
        "cloudcore",
        "run",
        f"--data-dir={lab.member.data_dir.parent / 'other'}",
        "--store=kubernetes",
        f"--kubeconfig={lab.member.data_dir / 'nowhere'}",
    )
    assert (second.code, second.err.count("\n")) == (2, 1)
    assert "is not there" in second.err
