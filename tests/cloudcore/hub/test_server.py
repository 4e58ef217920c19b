"""The hub's port over real TLS: who gets as far as a session, and what the log says of the others."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.clock import SystemClock
from cloudcore.hub.hub import Hub
from cloudcore.hub.server import HubServer, hub_url
from cloudcore.hub.settings import HubSettings
from cloudcore.security.ca import CertificateAuthority, Credential
from cloudcore.security.serving import server_context, server_credential
from cloudcore.store.memory import MemoryStore
from protocol.errors import ConnectionClosed
from protocol.events import Closed, Event, Received, WelcomeReceived
from protocol.frames import CloseCode
from protocol.heartbeat import HeartbeatEncoder, Load
from protocol.link import Link, Side
from protocol.messages import Hello
from protocol.objects.keys import NodeName
from protocol.objects.wellknown import CERTIFICATE, INSTANCE_ID
from protocol.settings import LinkSettings
from protocol.transports.websocket import WebSocketConnection, connect
from tests.support.clouds import Recorded

CLOCK = SystemClock()


@dataclass
class Port:
    """A hub's listening port."""

    hub: Hub
    url: str
    ca: CertificateAuthority
    client: LocalClient
    folder: Path

    def tls(self, credential: Credential | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ca.certificate_pem.decode())
        if credential is not None:
            path = self.folder / "client.pem"
            path.write_bytes(credential.certificate_pem + credential.key_pem)
            context.load_cert_chain(path)
        return context

    async def join(self, name: str) -> Credential:
        credential = self.ca.issue_client(f"system:node:{name}", "system:nodes", CLOCK.wall())
        certificate = x509.load_pem_x509_certificate(credential.certificate_pem).fingerprint(hashes.SHA256()).hex()
        annotations = {INSTANCE_ID: "i-1", CERTIFICATE: certificate}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "annotations": annotations}, "spec": {}}
        await self.client.create("nodes", body)
        return credential

    async def dial(self, credential: Credential | None) -> WebSocketConnection:
        return await connect(self.url, tls=self.tls(credential))


@asynccontextmanager
async def port(folder: Path) -> AsyncIterator[Port]:
    store = MemoryStore()
    registry = Registry(store)
    await bootstrap(registry)
    client, ca = LocalClient(registry), CertificateAuthority.create(CLOCK.wall())
    hub = Hub(store, client, Recorded(), clock=CLOCK, rng=Random(1), settings=HubSettings(drain_s=0.2))
    credential = server_credential(ca, folder, ["127.0.0.1"], CLOCK.wall())
    server = HubServer(hub, server_context(*credential, ca=ca, clients=ssl.CERT_REQUIRED))
    sock = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(hub.run())
    await hub.ready.wait()
    await server.start(sock)
    try:
        yield Port(hub, hub_url("127.0.0.1", sock.getsockname()[1]), ca, client, folder)
    finally:
        await hub.drain()
        await server.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


async def converse(connection: WebSocketConnection, node: str) -> tuple[Link, list[Event]]:
    """Say hello and return what came of it: a welcome with the first batch, or the end."""
    link, events = Link(Side.EDGE, LinkSettings(), Random(1), now=CLOCK.monotonic()), list[Event]()
    link.start(Hello(NodeName(node), "i-1"), CLOCK.monotonic())
    async with asyncio.timeout(20):
        while link.closed is None and not any(isinstance(event, Received) for event in events):
            try:
                await connection.send(link.data_to_send(CLOCK.monotonic()))
                link.receive(await connection.receive(), CLOCK.monotonic())
            except ConnectionClosed as exc:
                link.connection_lost(exc.code, exc.reason)
            while (event := link.next_event()) is not None:
                events.append(event)
                if isinstance(event, WelcomeReceived):
                    link.send_inventory([], CLOCK.monotonic())
    return link, events


async def test_a_node_gets_its_slice_over_tls(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        credential = await p.join("n1")
        connection = await p.dial(credential)
        _, events = await converse(connection, "n1")
        received = [event for event in events if isinstance(event, Received)]
        assert [str(item.key) for item in received[0].items] == ["nodes/n1", "resume/n1"]
        (node_link,) = p.hub.views.node_links()
        assert node_link["status"]["transport"] == "websocket"
        assert node_link["status"]["address"].startswith("127.0.0.1:")
        await connection.close()


async def rejected_handshake(p: Port, credential: Credential | None) -> str:
    """Dial with a certificate that TLS must turn away; return what the server logged."""
    with structlog.testing.capture_logs() as logs:
        # With TLS 1.3 the client may learn of it only from its first read.
        with pytest.raises(ConnectionClosed):  # noqa: PT012 - either step may raise
            connection = await p.dial(credential)
            await connection.receive()
        refused = [entry for entry in logs if entry["event"] == "TLS client refused"]
    assert refused
    assert p.hub.sessions == {}
    return str(refused[0]["cause"])


async def test_no_certificate_is_refused_and_logged(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        assert "CERTIFICATE" in (await rejected_handshake(p, None)).upper()


async def test_a_certificate_of_another_authority_is_refused_and_logged(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        await p.join("n1")
        foreign = CertificateAuthority.create(CLOCK.wall())
        credential = foreign.issue_client("system:node:n1", "system:nodes", CLOCK.wall())
        assert "certificate" in await rejected_handshake(p, credential)


async def test_a_servers_certificate_opens_no_session(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        await rejected_handshake(p, p.ca.issue_server(["127.0.0.1"], CLOCK.wall()))


async def test_an_expired_certificate_is_refused_and_logged(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        credential = p.ca.issue_client("system:node:n1", "system:nodes", CLOCK.wall() - 400 * 86_400)
        assert "expired" in await rejected_handshake(p, credential)


async def test_the_administrators_certificate_is_no_nodes(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        with structlog.testing.capture_logs() as logs:
            connection = await p.dial(p.ca.issue_client("kubernetes-admin", "system:masters", CLOCK.wall()))
            with pytest.raises(ConnectionClosed) as caught:
                await connection.receive()
        assert caught.value.code == CloseCode.UNAUTHORIZED
        assert "connection refused" in [entry["event"] for entry in logs]


async def test_a_certificate_of_another_node_is_refused_and_logged(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        await p.join("n1")
        other = await p.join("n2")
        with structlog.testing.capture_logs() as logs:
            link, _ = await converse(await p.dial(other), "n1")
        assert link.closed is not None
        assert link.closed.code == CloseCode.UNAUTHORIZED
        (entry,) = [entry for entry in logs if entry["event"] == "node refused"]
        assert entry["node"] == "n2"
        assert "n1" in entry["cause"]


async def test_a_frame_over_the_limit_ends_that_connection_alone(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        good = await p.dial(await p.join("n1"))
        await converse(good, "n1")
        bad = await p.dial(await p.join("n2"))
        with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012 - either step may raise
            await bad.send([b"\x00" * (5 * 1024 * 1024)])
            await bad.receive()
        assert caught.value.code == CloseCode.MESSAGE_TOO_BIG
        assert list(p.hub.sessions) == ["n1"]
        await good.close()


async def test_a_drain_tells_each_node_when_to_come_back(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        connection = await p.dial(await p.join("n1"))
        link, _ = await converse(connection, "n1")
        draining = asyncio.create_task(p.hub.drain())
        async with asyncio.timeout(20):
            while link.closed is None:
                link.receive(await connection.receive(), CLOCK.monotonic())
        await draining
        assert isinstance(link.closed, Closed)
        assert link.closed.code == CloseCode.GOING_AWAY
        assert link.closed.retry_after_s > 0


def test_a_context_that_takes_anybody_is_refused(tmp_path: Path) -> None:
    ca = CertificateAuthority.create(CLOCK.wall())
    credential = server_credential(ca, tmp_path, ["127.0.0.1"], CLOCK.wall())
    context = server_context(*credential, ca=ca, clients=ssl.CERT_OPTIONAL)
    with pytest.raises(ValueError, match="must require"):
        HubServer(None, context)  # type: ignore[arg-type]  # it does not get that far


@pytest.mark.slow
async def test_two_thousand_strangers_who_say_nothing_cost_the_nodes_nothing(tmp_path: Path) -> None:
    async with port(tmp_path) as p:
        node, late = await p.join("n1"), await p.join("n2")
        connection = await p.dial(node)
        link, _ = await converse(connection, "n1")
        host, number = "127.0.0.1", int(p.url.rpartition(":")[2].partition("/")[0])
        loop, strangers = asyncio.get_running_loop(), []
        try:
            for count in range(2_000):
                sock = socket.socket()
                sock.setblocking(False)
                sock.bind(("127.0.0.2", 0))
                strangers.append(sock)
                await loop.sock_connect(sock, (host, number))
                if count % 200 == 0:
                    assert await answered(link, connection)
            newcomer = await p.dial(late)
            _, events = await converse(newcomer, "n2")
            assert any(isinstance(event, Received) for event in events)
            assert await answered(link, connection)
            await newcomer.close()
        finally:
            for sock in strangers:
                sock.close()
        await connection.close()


async def answered(link: Link, connection: WebSocketConnection) -> bool:
    """Beat, and wait for the pong."""
    link.send_volatile(HeartbeatEncoder().encode(Load(pods=1)), CLOCK.monotonic())
    await connection.send(link.data_to_send(CLOCK.monotonic()))
    received = link.bytes_received
    async with asyncio.timeout(20):
        while link.bytes_received == received:
            link.receive(await connection.receive(), CLOCK.monotonic())
    return link.closed is None
