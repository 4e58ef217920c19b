"""Pods from files: on a device that has never seen a cloud, and in the cloud that it joins later."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from examples.demo.processes import Edge
from protocol.objects.keys import Body
from tests.support.clusters import (
    QUICK,
    Cluster,
    link_of,
    pod_processes,
    pods_at,
    running_cluster,
    status_of,
)
from tests.support.waiting import aeventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

FOREVER = "trap 'exit 0' TERM; sleep 3600 & wait"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path_factory.mktemp("static"), *QUICK) as running:
        yield running


def manifest(name: str, script: str = FOREVER, **spec: Any) -> Body:
    container = {"name": "main", "image": "none", "command": ["sh", "-c", script]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container], **spec}}


def lay(folder: Path, name: str, content: Body | str) -> None:
    """Put a file into the folder as one should: written aside, and moved."""
    aside = folder / f".{name}.new"
    aside.write_text(content if isinstance(content, str) else json.dumps(content))
    aside.replace(folder / name)


async def runs(edge: Edge, name: str) -> str:
    """Wait until the pod runs on the device, and return its uid."""
    await aeventually(
        lambda: (
            pods_at(edge).get(name, {}).get("status") == "Running" and pods_at(edge)[name]["uid"] in pod_processes(edge)
        ),
        within_s=30,
        what=f"{name} runs",
    )
    return str(pods_at(edge)[name]["uid"])


async def mirror(cluster: Cluster, name: str, uid: str) -> Body:
    """Wait until the cloud shows a pod as running, as the mirror of ``uid``."""

    async def check() -> Body:
        pods = {pod["metadata"]["name"]: pod for pod in await cluster.api.list("pods", "default")}
        pod: Body = pods.get(name, {})
        if not pod or pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] != uid:
            return {}
        return pod if (pod.get("status") or {}).get("phase") == "Running" else {}

    return await aeventually(check, within_s=60, what=f"the mirror {name} of {uid}")


async def test_a_device_without_a_cloud_runs_its_files_and_shows_them_once_it_joins(cluster: Cluster) -> None:
    edge = cluster.edges["lone"] = Edge(cluster.folder / "lone", "lone")
    manifests = edge.data_dir / "manifests"
    manifests.mkdir(parents=True)
    # Limits are not what is asked about here.
    (edge.data_dir / "edgecore.yaml").write_text("cgroup_root: none\nmetrics_port: 0\n")
    lay(manifests, "web.json", manifest("web"))
    await edge.start("--offline", "--node-name=lone")
    await aeventually((edge.data_dir / "standalone.json").exists, what="the agent has taken its name")
    uid = await runs(edge, "web-lone")
    processes = pod_processes(edge)[uid]
    assert status_of(edge)["link"]["phase"] == "standalone"

    # A file that is wrong changes nothing, and says what is wrong; one that is right is taken up.
    lay(manifests, "web.json", '{"apiVersion": "v1", "kind": "Pod"')
    lay(manifests, "two.yaml", json.dumps(manifest("two")))
    await runs(edge, "two-lone")
    await aeventually(lambda: "web.json" in status_of(edge)["staticPods"]["problems"], what="the complaint")
    assert pod_processes(edge)[uid] == processes

    # An agent that dies leaves them running, and the next one finds them, the file still being wrong.
    await edge.daemon.kill()
    (manifests / "two.yaml").unlink()
    await edge.daemon.start()
    await aeventually(lambda: "two-lone" not in pods_at(edge), what="the file that has gone is noticed")
    await aeventually(lambda: set(pod_processes(edge)) == {uid}, within_s=30, what="its pod is stopped")
    assert pod_processes(edge)[uid] == processes

    # It joins, and the pods that run go on and show.
    await edge.daemon.stop()
    await edge.join(cluster.cloud)
    await edge.start()
    await aeventually(lambda: link_of(edge)["phase"] == "connected", within_s=60, what="it is connected")
    shown = await mirror(cluster, "web-lone", uid)
    assert shown["metadata"]["ownerReferences"][0]["kind"] == "Node"
    assert pod_processes(edge)[uid] == processes

    # Deleting what shows a pod does not end the pod: it is shown again.
    await cluster.api.delete("pods", "default", "web-lone")
    again = await aeventually(
        lambda: _another(cluster, "web-lone", shown["metadata"]["uid"]), within_s=60, what="the mirror comes back"
    )
    await mirror(cluster, "web-lone", uid)
    assert again["metadata"]["uid"] != shown["metadata"]["uid"]
    assert pod_processes(edge)[uid] == processes

    # A changed file is another pod, which follows the first; the agent may be dead meanwhile.
    await edge.daemon.kill()
    lay(manifests, "web.json", manifest("web", priorityClassName="system-node-critical"))
    await edge.daemon.start()
    await aeventually(lambda: pods_at(edge)["web-lone"]["uid"] != uid, what="the new file is read")
    fresh = await runs(edge, "web-lone")
    assert uid not in pod_processes(edge)
    assert (await mirror(cluster, "web-lone", fresh))["spec"]["priority"] == 2_000_001_000

    (manifests / "web.json").unlink()
    await aeventually(lambda: not pod_processes(edge), within_s=60, what="the pod is stopped")
    await aeventually(lambda: _none(cluster), within_s=60, what="the mirror is gone")
    await aeventually(lambda: not pods_at(edge), what="nothing is left")
    await edge.daemon.stop()


async def _another(cluster: Cluster, name: str, uid: str) -> Body:
    pods = {pod["metadata"]["name"]: pod for pod in await cluster.api.list("pods", "default")}
    pod: Body = pods.get(name, {})
    return pod if pod and pod["metadata"]["uid"] != uid else {}


async def _none(cluster: Cluster) -> bool:
    return not await cluster.api.list("pods", "default")
