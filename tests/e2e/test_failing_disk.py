"""The disk under a running device fills up, or turns read-only as a broken one does: the device lives and says so."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from examples.demo.processes import Edge, until
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body
from tests.support.clusters import Cluster, container_status, log_lines, pod, pod_processes, running_cluster
from tests.support.powerdisk import power_disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "edge-1"
LINES = 40
"""Warnings that a failing disk may cost; a device that said so at each try would come to thousands."""


async def started(cluster: Cluster, folder: Path) -> tuple[Edge, Body]:
    """Start a device with one pod on the disk at ``folder``."""
    edge = cluster.edges[NODE] = Edge(folder, NODE)
    await cluster.join(edge, {})
    # Pressure is another matter (test_pressure.py): nothing is to be evicted here.
    await edge.start("--eviction-hard=memory.available<1Mi")
    await cluster.node_is(NODE, "True")
    await cluster.api.create("pods", pod("before", "sleep 3600", nodeName=NODE))
    return edge, await cluster.pod_is("before")


async def change(cluster: Cluster, name: str) -> None:
    """Give the device something to store."""
    await cluster.api.create("pods", pod(name, "sleep 3600", nodeName=NODE))


def complaints(edge: Edge) -> list[str]:
    return [line["event"] for line in log_lines(edge.daemon) if line["level"] != "info"]


async def test_a_full_disk_stops_nothing_and_is_got_over(tmp_path: Path) -> None:
    with power_disk(tmp_path / NODE / "data", tmp_path / "disk.img", size_mib=32) as disk:
        async with running_cluster(tmp_path, "--heartbeat-s=1") as cluster:
            edge, before = await started(cluster, tmp_path / NODE)
            runs = pod_processes(edge)
            fill(disk.path / "ballast")
            await change(cluster, "while-full")

            async def noticed() -> bool:
                return any("disk" in event or "failed" in event or "store" in event for event in complaints(edge))

            await until("the agent complains", noticed, within_s=30)
            assert edge.daemon.running
            assert runs[before["metadata"]["uid"]] == pod_processes(edge)[before["metadata"]["uid"]]
            (disk.path / "ballast").unlink()
            await cluster.pod_is("while-full", within_s=90)
            await change(cluster, "after")
            await cluster.pod_is("after")
            assert container_status(await cluster.pod_is("before"))["restartCount"] == 0
            assert len(complaints(edge)) < LINES, complaints(edge)


async def test_a_disk_that_turns_read_only_stops_nothing_and_shows(tmp_path: Path) -> None:
    with power_disk(tmp_path / NODE / "data", tmp_path / "disk.img", size_mib=32) as disk:
        async with running_cluster(tmp_path, "--heartbeat-s=1") as cluster:
            edge, before = await started(cluster, tmp_path / NODE)
            runs = pod_processes(edge)
            # What ext4 does when its medium fails.
            disk.abort()
            with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
                (disk.path / "probe").write_bytes(b"x")
            await change(cluster, "never")

            async def shown() -> Body | None:
                status = (await cluster.api.get("nodes", "", NODE))["status"]
                found = find_condition(status["conditions"], "ReadonlyFilesystem")
                return found if found and found["status"] == "True" else None

            condition = await until("the node says that its disk is read-only", shown, within_s=60)
            assert "pods keep running" in condition["message"]
            assert edge.daemon.running
            assert pod_processes(edge) == runs
            assert len(complaints(edge)) < LINES, complaints(edge)
            assert find_condition((await cluster.api.get("nodes", "", NODE))["status"]["conditions"], "Ready")
            assert before["metadata"]["uid"] in runs


def fill(ballast: Path) -> None:
    """Leave no room at all."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
