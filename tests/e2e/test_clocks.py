"""A device's clock stands in 1970 at boot, is set right, and jumps by decades: its pods and its link do not notice."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from examples.demo.processes import Edge, until
from protocol.objects.keys import Body
from protocol.objects.times import parse_timestamp
from tests.support.clusters import config_map, container_status, link_of, pod, pod_processes, running_cluster
from tests.support.wallclocks import WallClock, build

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "edge-1"
YEAR_S = 365.25 * 86_400
JUMPS_S = (40 * YEAR_S, -40 * YEAR_S, 0.0)


@pytest.mark.skipif(shutil.which("cc") is None, reason="what steps the clock has to be compiled: needs cc")
async def test_pods_and_link_live_through_every_time(tmp_path: Path) -> None:
    clock = WallClock(build(tmp_path), tmp_path / "offset")
    clock.set_off(60.0 - time.time())
    async with running_cluster(tmp_path, "--heartbeat-s=1") as cluster:
        edge = cluster.edges[NODE] = Edge(tmp_path / NODE, NODE)
        await cluster.join(edge, {})
        edge.daemon.env = clock.env
        await edge.start()
        await cluster.node_is(NODE, "True")
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
        body = pod("lasting", "sleep 3600", nodeName=NODE, container={"livenessProbe": probe, "readinessProbe": probe})
        body["spec"]["activeDeadlineSeconds"] = 3000
        await cluster.api.create("pods", body)
        first = await cluster.pod_is("lasting")
        uid = first["metadata"]["uid"]
        runs = pod_processes(edge)[uid]
        since = link_of(edge)["since"]
        for number, off_s in enumerate(JUMPS_S):
            clock.set_off(off_s)
            name = f"during-{number}"
            await cluster.api.create("configmaps", config_map(name, number=str(number)))
            await cluster.api.create("pods", pod(name, "exit 0", restartPolicy="Never", nodeName=NODE))
            await cluster.pod_is(name, "Succeeded")
        assert pod_processes(edge)[uid] == runs
        assert container_status(await cluster.pod_is("lasting"))["restartCount"] == 0
        assert link_of(edge)["since"] == since, "it has never been cut off"

        async def told() -> list[Body]:
            return [each for each in await cluster.api.list("events") if each["involvedObject"].get("uid") == uid]

        events = await until("the pod's events have come", told)
        # The device believed to be in 1970 then; an hour is what certificates are dated back.
        assert all(parse_timestamp(each["lastTimestamp"]) > time.time() - 2 * 3600 for each in events)

        await edge.daemon.kill()
        clock.set_off(60.0 - time.time())
        await edge.start()
        await cluster.api.create("pods", pod("after", "exit 0", restartPolicy="Never", nodeName=NODE))
        await cluster.pod_is("after", "Succeeded")
        assert pod_processes(edge)[uid] == runs
