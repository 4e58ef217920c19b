"""Everything on a device with containers is killed at once, Docker and its shims too: its pods come right.

More rounds: AIOKUBEEDGE_CRASHES=20 AIOKUBEEDGE_SEED=7 pytest tests/e2e/test_docker_crashes.py
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from examples.demo.processes import Edge, processes_in, until
from protocol.objects.keys import Body
from tests.support.clusters import Cluster, container_status, pod, running_cluster
from tests.support.dockers import BUSYBOX_IMAGE, DockerEngine

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "edge-1"
ROUNDS = int(os.environ.get("AIOKUBEEDGE_CRASHES") or 2)
SEED = int(os.environ.get("AIOKUBEEDGE_SEED") or 1)


def boxed(name: str, script: str, journal: Path, **spec: Any) -> Body:
    """Return a pod that notes each of its starts in a file that the device does not own."""
    mounts = {"volumeMounts": [{"name": "journal", "mountPath": "/journal"}]}
    body = pod(name, f"echo start >> /journal/{name}; {script}", container=mounts, nodeName=NODE, **spec)
    body["spec"]["containers"][0]["image"] = BUSYBOX_IMAGE
    body["spec"]["volumes"] = [{"name": "journal", "hostPath": {"path": str(journal)}}]
    return body


def kill_everything(edge: Edge, docker: DockerEngine) -> None:
    """End the agent, Docker, its shims and every container."""
    done: set[int] = set()
    while fresh := {each.pid: each for each in _everything(edge, docker) if each.pid not in done}:
        for pid, process in fresh.items():
            done.add(pid)
            with suppress(psutil.NoSuchProcess):
                process.kill()
    docker.stop(9)
    # Where nobody reaps a killed containerd, dockerd waits for it in vain; at a boot these files are gone.
    for record in ("docker.pid", "exec/containerd/containerd.pid"):
        (docker.folder / record).unlink(missing_ok=True)


def _everything(edge: Edge, docker: DockerEngine) -> list[psutil.Process]:
    found = [*processes_in(edge.data_dir.parent), *processes_in(docker.folder)]
    for process in list(found):
        with suppress(psutil.NoSuchProcess):
            found += process.children(recursive=True)
    return [process for process in found if process.pid != os.getpid()]


async def begin(cluster: Cluster, edge: Edge, docker: DockerEngine) -> None:
    await edge.start("--runtimes=docker,process", f"--docker-host={docker.host}", "--docker-network=bridge")
    await cluster.node_is(NODE, "True")


@pytest.mark.timeout(120 + 60 * ROUNDS)
async def test_containers_come_right_after_everything_was_killed(docker: DockerEngine, tmp_path: Path) -> None:
    rng, journal = Random(SEED), tmp_path / "journal"
    journal.mkdir()
    async with running_cluster(tmp_path, "--heartbeat-s=1") as cluster:
        edge = cluster.edges[NODE] = Edge(tmp_path / NODE, NODE)
        await cluster.join(edge, {})
        await begin(cluster, edge, docker)
        try:
            await cluster.api.create("pods", boxed("server", "exec sleep 1000", journal))
            for number in range(ROUNDS):
                jobs = [f"job-{number}-{each}" for each in range(3)]
                for name in jobs:
                    script = f"sleep {rng.uniform(0.1, 2):.2f}; echo end >> /journal/{name}; exit 3"
                    await cluster.api.create("pods", boxed(name, script, journal, restartPolicy="Never"))
                await asyncio.sleep(rng.uniform(0.0, 3.0))
                await asyncio.to_thread(kill_everything, edge, docker)
                await edge.daemon.kill()
                await asyncio.to_thread(docker.start)
                await begin(cluster, edge, docker)
                await _server_runs(cluster, journal)
                for name in jobs:
                    await _job_is_right(cluster, name, journal)
        finally:
            await edge.daemon.kill()
            await asyncio.to_thread(docker.clear)


async def _server_runs(cluster: Cluster, journal: Path) -> None:
    async def check() -> bool:
        body = await cluster.api.get("pods", "default", "server")
        status = container_status(body)
        starts = _said(journal / "server").count("start")
        return "running" in (status.get("state") or {}) and starts == int(status["restartCount"]) + 1

    await until("the server runs, each of its starts counted", check, within_s=60)


async def _job_is_right(cluster: Cluster, name: str, journal: Path) -> None:
    body = await cluster.pod_is(name, "Failed")
    said = _said(journal / name)
    ended = container_status(body)["state"]["terminated"]
    assert said.count("start") <= 1, f"{name} was run twice: {body['status']}"
    if ended["exitCode"] == 3:
        assert said == ["start", "end"]


def _said(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
