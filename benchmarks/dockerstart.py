"""Pods in containers: from a pod that is bound to the start of its process, beside Docker's own start; and the agent.

A real cloud, a real edge and a Docker Engine: the one that ``DOCKER_HOST`` names, or one of its own on a private
socket with images made on the spot (as root). A pod's time runs from before the request that creates it, bound, to
the moment that Docker says its process began; Docker's own is a bare container of the same image on the same network.

Usage: ``python -m benchmarks.dockerstart [--pods 20] [--idle-seconds 30] [--quick]``
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.children import cpu_s, resident_bytes
from benchmarks.harness import Row, report
from cloudcore.rest import RestClient
from edgecore.pods.runtimes.docker.engine import Engine
from edgecore.pods.runtimes.docker.states import seconds
from examples.demo.processes import Cloud, Edge, until
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from tests.support.dockers import BUSYBOX_IMAGE, DockerEngine, docker_engine

NODE = "edge-node-01"
SETTLE_S = 3.0
COMMAND = ["sleep", "1000000"]


async def own_start_s(engine: Engine, number: int) -> float:
    """Return how long Docker takes from the request to the start of a process."""
    began = time.time()
    made = await engine.create({"Image": BUSYBOX_IMAGE, "Entrypoint": COMMAND}, f"bare-{number}")
    await engine.start(made)
    inspected = await engine.inspect(made)
    assert inspected is not None
    await engine.remove(made)
    return seconds(inspected["State"]["StartedAt"]) - began


async def pod_start_s(client: RestClient, engine: Engine, name: str) -> float:
    """Return how long it takes from the request for a bound pod to the start of its process."""
    container = {"name": "main", "image": BUSYBOX_IMAGE, "command": COMMAND}
    spec = {"containers": [container], "nodeName": NODE, "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "namespace": "default"}
    began = time.time()
    await client.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    body = await until(f"pod {name} runs", partial(running, client, name), poll_s=0.02)
    found = body["status"]["containerStatuses"][0]["containerID"].removeprefix("docker://")
    inspected = await engine.inspect(found)
    assert inspected is not None
    return seconds(inspected["State"]["StartedAt"]) - began


async def running(client: RestClient, name: str) -> Body | None:
    """Return the pod once it runs."""
    body = await client.get("pods", "default", name)
    return body if (body.get("status") or {}).get("phase") == "Running" else None


async def ready(client: RestClient) -> bool:
    """Tell whether the node is ready."""
    body = await client.get("nodes", "", NODE)
    found = find_condition((body.get("status") or {}).get("conditions"), "Ready")
    return found is not None and found["status"] == "True"


async def measure(docker: DockerEngine, folder: Path, options: argparse.Namespace) -> list[Row]:
    """Run all of it."""
    rows: list[Row] = []

    def add(what: str, measured: float, unit: str, aim: str) -> None:
        rows.append({"what": what, "measured": measured, "unit": unit, "aim": aim})

    cloud, edge, engine = Cloud(folder / "cloud", "--log-level=warning"), Edge(folder / "edge", NODE), docker.engine()
    await cloud.start()
    try:
        async with cloud.client() as client:
            await edge.join(cloud)
            flags = ("--runtimes=docker,process", f"--docker-host={docker.host}")
            await edge.start(*flags)
            await until("the node is Ready", partial(ready, client), poll_s=0.05)
            await asyncio.sleep(SETTLE_S)
            alone = resident_bytes(edge.daemon.pid)
            add("edgecore with docker, no pod, resident", alone / 1e6, "MB", "60")
            await pod_start_s(client, engine, "first")  # makes the sandboxes' image
            own, pods = [], []
            for number in range(options.pods - 1):  # in turn, so that whatever else goes on slows down both
                own.append(await own_start_s(engine, number))
                pods.append(await pod_start_s(client, engine, f"pod-{number}"))
            add("Docker's own start, median", statistics.median(own) * 1e3, "ms", "-")
            add("bound pod to started container, median", statistics.median(pods) * 1e3, "ms", "own + 100")
            added = (statistics.median(pods) - statistics.median(own)) * 1e3
            add("  over Docker's own start", added, "ms", "100")
            await asyncio.sleep(SETTLE_S)
            whole = resident_bytes(edge.daemon.pid)
            add(f"edgecore with docker, {options.pods} pods, resident", whole / 1e6, "MB", "70")
            add(f"  more than without, for {options.pods} pods", (whole - alone) / 1e6, "MB", "10")
            spent = cpu_s(edge.daemon.pid)
            await asyncio.sleep(options.idle_seconds)
            share = (cpu_s(edge.daemon.pid) - spent) / options.idle_seconds
            add(f"edgecore, {options.pods} pods, idle, of a core", share * 100, "%", "0.5")
            await edge.daemon.kill()
            began = time.monotonic()
            await edge.start(*flags)
            await until("all pods are adopted", partial(_taken_up, edge), poll_s=0.02)
            add(f"edgecore, start to {options.pods} pods adopted", time.monotonic() - began, "s", "2")
    finally:
        await engine.close()
        await edge.daemon.kill()
        await cloud.daemon.stop()
    return rows


async def _taken_up(edge: Edge) -> bool:
    return edge.daemon.log_path.read_text().count("pods taken up") == 2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dockerstart")
    parser.add_argument("--pods", type=int, default=20)
    parser.add_argument("--idle-seconds", type=float, default=30)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.pods, options.idle_seconds = 4, 2
    with tempfile.TemporaryDirectory() as folder, docker_engine() as docker:
        rows = asyncio.run(measure(docker, Path(folder), options))
    report("dockerstart", "Pods in containers", rows)


if __name__ == "__main__":
    main()
