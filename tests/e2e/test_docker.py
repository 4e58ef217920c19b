"""Containers of a real Docker Engine, driven by a real edge for a real cloud."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edgecore.pods.runtimes.docker import labels
from edgecore.pods.runtimes.docker.engine import Answer
from examples.demo.processes import Edge, until
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from tests.support.clusters import Cluster, container_status, pod, running_cluster
from tests.support.dockers import BUSYBOX_IMAGE, PAGE, DockerEngine
from tests.support.kubectl import Kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "edge-node-01"
SEED_MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: edge-app
spec:
  selector:
    matchLabels:
      app: sensor-processor
  template:
    metadata:
      labels:
        app: sensor-processor
    spec:
      nodeSelector:
        kubernetes.io/hostname: edge-node-01  # 指定边缘节点
      containers:
      - name: processor
        image: nginx:alpine
"""


@pytest.fixture
async def cluster(docker: DockerEngine, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path) as cluster:
        edge = cluster.edges[NODE] = Edge(tmp_path / NODE, NODE)
        await cluster.join(edge, {})
        await start(edge, docker)
        await cluster.node_is(NODE, "True")
        yield cluster
        await edge.daemon.kill()
        await asyncio.to_thread(docker.clear)


async def start(edge: Edge, docker: DockerEngine) -> None:
    await edge.start("--runtimes=docker,process", f"--docker-host={docker.host}", "--docker-network=bridge")


def boxed(name: str, script: str, **spec: Any) -> Body:
    """Return a pod in a container."""
    return pod(name, script, container={"image": BUSYBOX_IMAGE, **spec.pop("container", {})}, **spec)


async def containers_of(docker: DockerEngine, edge: Edge, uid: str) -> list[Answer]:
    """Return what Docker knows of a pod's containers, its sandbox left out."""
    engine = docker.engine(str(edge.data_dir))
    try:
        found = [await engine.inspect(one) for one in await engine.list(f"{labels.POD_UID}={uid}")]
    finally:
        await engine.close()
    return [one for one in found if one and one["Config"]["Labels"][labels.TYPE] == labels.CONTAINER]


def limit(container: Answer, controller: str, *names: str) -> str:
    """Return a limit from the container's own cgroup, by its name in version 1 or 2."""
    for line in Path(f"/proc/{container['State']['Pid']}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = Path("/sys/fs/cgroup", controllers) if controllers else Path("/sys/fs/cgroup")
        if controllers and controller not in controllers.split(","):
            continue
        for name in names:
            for file in (root / path.lstrip("/") / name, Path("/sys/fs/cgroup", controller, path.lstrip("/"), name)):
                if file.exists():
                    return file.read_text().strip()
    raise AssertionError(f"no {controller} limit of {names} in the container's cgroup")


def fetch(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
        return str(answer.read().decode())


async def test_the_seeds_deployment_runs_unchanged_and_outlives_the_agent(
    cluster: Cluster, docker: DockerEngine, tmp_path: Path
) -> None:
    kubectl = Kubectl(cluster.cloud.kubeconfig, tmp_path)
    await kubectl.ok("apply", "-f", "-", stdin=SEED_MANIFEST)
    await kubectl.ok("rollout", "status", "deployment/edge-app", "--timeout=50s")
    assert "Running" in await kubectl.ok("get", "pods", "-l", "app=sensor-processor")
    (body,) = (await kubectl.json("get", "pods", "-l", "app=sensor-processor"))["items"]
    before = container_status(body, "processor")
    assert await asyncio.to_thread(fetch, body["status"]["podIP"]) == PAGE
    assert before["imageID"].startswith("docker://sha256:")
    events = await kubectl.ok("get", "events", "-o", "jsonpath={.items[*].reason}")
    assert {"Pulled", "Created", "Started"} <= set(events.split())

    edge = cluster.edges[NODE]
    await edge.daemon.kill()
    assert await asyncio.to_thread(fetch, body["status"]["podIP"]) == PAGE
    await start(edge, docker)
    await cluster.node_is(NODE, "True")
    await cluster.api.create("pods", boxed("later", "sleep 1000"))
    await cluster.pod_is("later")  # By then the agent has reported all that it found.
    (body,) = (await kubectl.json("get", "pods", "-l", "app=sensor-processor"))["items"]
    after = container_status(body, "processor")
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)

    await kubectl.ok("delete", "deployment", "edge-app", "--timeout=50s")
    await cluster.gone("pods", body["metadata"]["name"])

    async def nothing_left() -> bool:
        return not await containers_of(docker, edge, body["metadata"]["uid"])

    await until("the pod's containers are gone", nothing_left)


async def test_limits_are_those_of_the_containers_cgroup(cluster: Cluster, docker: DockerEngine) -> None:
    resources = {"limits": {"cpu": "1500m", "memory": "1024Mi"}, "requests": {"cpu": "500m", "memory": "512Mi"}}
    await cluster.api.create("pods", boxed("limited", "sleep 1000", container={"resources": resources}))
    hog = {"resources": {"limits": {"memory": "16Mi"}}}
    script = "a=x; while :; do a=$a$a; done"
    await cluster.api.create("pods", boxed("hog", script, container=hog, restartPolicy="Never"))
    body = await cluster.pod_is("limited")
    (container,) = await containers_of(docker, cluster.edges[NODE], body["metadata"]["uid"])
    assert limit(container, "memory", "memory.limit_in_bytes", "memory.max") == str(1024 << 20)
    assert limit(container, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(512 << 20)
    assert limit(container, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "150000"
    assert limit(container, "pids", "pids.max") == "4096"
    ended = container_status(await cluster.pod_is("hog", "Failed"))["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    assert (await cluster.pod_is("limited"))["status"]["qosClass"] == "Burstable"


async def test_images_that_cannot_be_had_are_said_as_the_kubelet_says_it(cluster: Cluster) -> None:
    wanted = {
        "missing": ("registry.invalid/nothing:1", "IfNotPresent", {"ErrImagePull", "ImagePullBackOff"}),
        "never": ("registry.invalid/nothing:1", "Never", {"ErrImageNeverPull"}),
        "malformed": ("Not/An:Image:Name", "IfNotPresent", {"InvalidImageName"}),
    }
    for name, (image, policy, _) in wanted.items():
        container = {"image": image, "imagePullPolicy": policy}
        await cluster.api.create("pods", pod(name, "true", container=container))
    command = {"image": BUSYBOX_IMAGE, "command": ["/no/such/program"]}
    await cluster.api.create("pods", pod("nocommand", "", container=command))
    await cluster.api.create("pods", boxed("well", "sleep 1000"))
    await cluster.pod_is("well")
    for name, (_, _, reasons) in [*wanted.items(), ("nocommand", ("", "", {"RunContainerError"}))]:
        await until(f"{name} says why", partial(waits, cluster, name, reasons))


async def waits(cluster: Cluster, name: str, reasons: set[str]) -> bool:
    state = container_status(await cluster.api.get("pods", "default", name)).get("state") or {}
    return (state.get("waiting") or {}).get("reason") in reasons


async def test_a_docker_daemon_that_dies_and_returns(cluster: Cluster, docker: DockerEngine) -> None:
    await cluster.api.create("pods", boxed("steady", "sleep 1000"))
    await cluster.api.create(
        "pods", boxed("ends", "trap 'exit 3' USR1; while :; do sleep 1; done", restartPolicy="Never")
    )
    await cluster.pod_is("ends")
    steady = container_status(await cluster.pod_is("steady"))
    uid = (await cluster.api.get("pods", "default", "ends"))["metadata"]["uid"]
    (ending,) = await containers_of(docker, cluster.edges[NODE], uid)

    await asyncio.to_thread(docker.stop, signal.SIGKILL)
    try:
        await runtimes_ready(cluster, "False")
        await cluster.api.create("pods", pod("other", "exec sleep 1000", runtimeClassName="process"))
        await cluster.pod_is("other")
        signal_process(ending, signal.SIGUSR1)
    finally:
        await asyncio.to_thread(docker.start)
    await runtimes_ready(cluster, "True")
    again = container_status(await cluster.pod_is("steady"))
    assert (again["containerID"], again["restartCount"]) == (steady["containerID"], 0)
    ended = container_status(await cluster.pod_is("ends", "Failed"))["state"]["terminated"]
    assert ended["exitCode"] == 3


def signal_process(container: Answer, number: int) -> None:
    os.kill(container["State"]["Pid"], number)


async def runtimes_ready(cluster: Cluster, status: str) -> None:
    async def check() -> bool:
        body = await cluster.api.get("nodes", "", NODE)
        found = find_condition((body.get("status") or {}).get("conditions"), "RuntimesReady")
        return found is not None and found["status"] == status

    await until(f"RuntimesReady is {status}", check)
