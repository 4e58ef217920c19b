"""An edge written from the document alone, against a real ``cloudcore``: so the document is complete."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgpack
import pytest

from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.tokenstore import create_token
from examples.demo.processes import until
from tests.support.clusters import QUICK, Cluster, config_map, pod, running_cluster
from tests.support.waiting import aeventually
from tests.wire.minimal_edge import MinimalEdge

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def connected(edge: MinimalEdge) -> AsyncIterator[asyncio.Task[None]]:
    """Hold a session of ``edge`` for as long as the block lasts."""
    leave = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        session = tasks.create_task(edge.session(leave))
        try:
            yield session
        finally:
            leave.set()


async def joined(cluster: Cluster, folder: Path) -> MinimalEdge:
    """Return an edge that has joined ``cluster``."""
    edge = MinimalEdge("foreign", folder)
    authority = CertificateAuthority.load(cluster.cloud.data_dir / "pki")
    token = await create_token(cluster.api, authority, edge.node, 3600.0, time.time())
    await asyncio.to_thread(edge.join, f"https://127.0.0.1:{cluster.cloud.ports['enrol_port']}", token)
    return edge


async def test_an_edge_written_from_the_document_is_a_node_like_any_other(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, *QUICK) as cluster:
        edge = await joined(cluster, tmp_path)
        settings = ("configmaps", "default", "settings")
        async with connected(edge):
            await cluster.node_is("foreign", "True")
            await cluster.api.create("configmaps", config_map("settings", colour="blue"))
            reads = [{"name": "settings", "configMap": {"name": "settings"}}]
            web = await cluster.api.create("pods", pod("web", "true", nodeName="foreign", volumes=reads))
            await cluster.pod_is("web")
            await aeventually(lambda: settings in edge.held, what="the ConfigMap has come with its pod")
            assert msgpack.unpackb(edge.held[settings][2])["data"] == {"colour": "blue"}
            edge.event(("pods", "default", "web"), web["metadata"]["uid"], "Observed")
            await cluster.api.patch("configmaps", "default", "settings", {"data": {"colour": "red"}})
            await aeventually(lambda: b"red" in edge.held[settings][2], what="the change has come")
            await event_is(cluster, "Observed")
        assert edge.resumed == ["inventory"]
        assert [name for name in edge.answered if name.startswith("resume-foreign-")]
        held = dict(edge.held)
        async with connected(edge):
            await aeventually(lambda: len(edge.resumed) == 2)
            assert edge.resumed[-1] == "equal", "what was held while it was away is what it should hold"
            assert edge.held == held
            await cluster.api.delete("pods", "default", "web")
            await cluster.gone("pods", "web")
            await aeventually(lambda: ("pods", "default", "web") not in edge.held, what="the pod has left the node")
        codecs = {frame["codec"] for frame in edge.seen}
        assert codecs == {0}, "it is sent only what it reads"


async def event_is(cluster: Cluster, reason: str) -> None:
    """Wait until an event has been recorded."""

    async def check() -> bool:
        return any(event.get("reason") == reason for event in await cluster.api.list("events", "default"))

    await until(f"an event {reason} is there", check)
