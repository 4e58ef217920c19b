"""A device gets another address while it runs: the Node, its pods and its session follow within seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo.processes import until
from protocol.objects.keys import Body
from tests.support.clusters import Cluster, link_of, pod, pod_processes, running_cluster
from tests.support.ownnetwork import OwnNetwork, own_network

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODE = "edge-1"
SOON_S = 15.0
"""The device looks each 5 s."""


@pytest.fixture
def network() -> Iterator[OwnNetwork]:
    with own_network() as network:
        yield network


async def follows(cluster: Cluster, address: str) -> None:
    """Wait until the Node and the pod are known under ``address``."""

    async def known() -> bool:
        node: Body = (await cluster.api.get("nodes", "", NODE))["status"]
        status: Body = (await cluster.api.get("pods", "default", "lasting"))["status"]
        internal = [each["address"] for each in node["addresses"] if each["type"] == "InternalIP"]
        return [*internal, status.get("podIP"), status.get("hostIP")] == [address] * 3

    await until(f"everything is known under {address}", known, within_s=SOON_S)


async def test_everything_follows_the_devices_address(network: OwnNetwork, tmp_path: Path) -> None:
    network.move("10.91.0.5")
    async with running_cluster(tmp_path, "--heartbeat-s=1") as cluster:
        edge = await cluster.add_edge(NODE)
        await cluster.api.create("pods", pod("lasting", "sleep 3600", nodeName=NODE, hostNetwork=True))
        body = await cluster.pod_is("lasting")
        runs, since = pod_processes(edge)[body["metadata"]["uid"]], link_of(edge)["since"]
        await follows(cluster, "10.91.0.5")
        for address in ("10.92.0.9", "10.91.0.5"):
            network.move("")
            network.move(address)
            await follows(cluster, address)
        assert pod_processes(edge)[body["metadata"]["uid"]] == runs
        assert link_of(edge)["since"] > since, "the cloud was dialled anew"
        assert link_of(edge)["phase"] == "connected"
