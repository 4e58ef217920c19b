"""A real agent whose hub has a good certificate and bad manners: it goes on, its pods too, and it does not grow."""

from __future__ import annotations

import ssl
import time
from itertools import count
from pathlib import Path

import psutil
import pytest
import zstandard
from websockets.asyncio.server import ServerConnection, serve

from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.serving import server_context, server_credential
from tests.support.clusters import QUICK, link_of, pod, pod_processes, running_cluster
from tests.support.waiting import aeventually
from tests.wire import reader
from tests.wire.minimal_edge import SUBPROTOCOL

pytestmark = pytest.mark.e2e

GROWTH_BYTES = 48 << 20


class RogueHub:
    """Answers each connection with the next piece of bad manners."""

    def __init__(self) -> None:
        self.epochs = count(1 << 32)
        self.played: list[str] = []

    async def __call__(self, socket: ServerConnection) -> None:
        await socket.recv()
        manners = (self.bomb, self.flood, self.garbage)
        play = manners[len(self.played) % len(manners)]
        self.played.append(play.__name__)
        await play(socket, next(self.epochs))
        await socket.wait_closed()

    async def welcome(self, socket: ServerConnection, epoch: int) -> None:
        await socket.send(reader.write("WELCOME", epoch, [epoch, "another", 1, 0.01, 12, 4096, 1 << 20, 1]))

    async def garbage(self, socket: ServerConnection, _epoch: int) -> None:
        await socket.send(b"\xff" * 1000)

    async def bomb(self, socket: ServerConnection, epoch: int) -> None:
        await self.welcome(socket, epoch)
        packed = zstandard.ZstdCompressor().compress(bytes(256 << 20))
        await socket.send(bytes([1 << 6 | 8]) + (epoch & 0xFFFFFFFF).to_bytes(4, "big") + packed)

    async def flood(self, socket: ServerConnection, epoch: int) -> None:
        await self.welcome(socket, epoch)
        for _ in range(6000):
            await socket.send(reader.write("PING", epoch, [1]))


async def test_an_agent_outlives_a_rude_cloud_and_its_pods_run_on(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, *QUICK) as cluster:
        edge = await cluster.add_edge("patient")
        await cluster.api.create("pods", pod("sleeper", "exec sleep 3600", nodeName="patient"))
        await cluster.pod_is("sleeper")
        running = pod_processes(edge)
        assert await edge.daemon.stop() == 0
        authority = CertificateAuthority.load(cluster.cloud.data_dir / "pki")
        credential = server_credential(authority, tmp_path, ["127.0.0.1"], time.time())
        tls = server_context(*credential, ca=authority, clients=ssl.CERT_REQUIRED)
        hub = RogueHub()
        async with serve(hub, "127.0.0.1", 0, ssl=tls, subprotocols=[SUBPROTOCOL], compression=None) as server:  # type: ignore[list-item]  # a Subprotocol is a str
            port = next(iter(server.sockets)).getsockname()[1]
            await edge.start(f"--hub=wss://127.0.0.1:{port}")
            await aeventually(lambda: hub.played, within_s=30)
            before = psutil.Process(edge.daemon.pid).memory_info().rss
            await aeventually(lambda: len(hub.played) >= 4, within_s=60, what="every kind of bad manners was shown")
            assert edge.daemon.running
            assert psutil.Process(edge.daemon.pid).memory_info().rss - before < GROWTH_BYTES
            assert pod_processes(edge) == running
        assert await edge.daemon.stop() == 0
        await edge.start()
        await aeventually(lambda: link_of(edge)["phase"] == "connected", within_s=60)
        await cluster.node_is("patient", "True")
        assert pod_processes(edge) == running
