from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol.errors import ConnectionClosed
from protocol.transports.websocket import WebSocketConnection, connect, serve
from tests.contracts.transport import Pair, TransportContract, ending_of


@asynccontextmanager
async def connected(
    server_tls: ssl.SSLContext | None = None, client_tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[WebSocketConnection, WebSocketConnection]]:
    """A client's and the server's end of one connection over loopback."""
    accepted: asyncio.Future[WebSocketConnection] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def handle(connection: WebSocketConnection) -> None:
        accepted.set_result(connection)
        await over.wait()

    server = await serve(handle, "127.0.0.1", 0, tls=server_tls)
    port = server.sockets[0].getsockname()[1]
    scheme = "wss" if client_tls else "ws"
    try:
        client = await connect(f"{scheme}://127.0.0.1:{port}/v1/link", tls=client_tls)
        yield client, await accepted
        await client.close()
    finally:
        over.set()
        server.close()
        await server.wait_closed()


class TestWebSocket(TransportContract):
    @pytest.fixture
    async def pair(self) -> AsyncIterator[Pair]:
        async with connected() as (client, server):
            yield client, server


class TestWebSocketServerFirst(TransportContract):
    @pytest.fixture
    async def pair(self) -> AsyncIterator[Pair]:
        async with connected() as (client, server):
            yield server, client


async def test_addresses_are_host_and_port() -> None:
    async with connected() as (client, server):
        assert client.peer_address.startswith("127.0.0.1:")
        assert server.peer_address.startswith("127.0.0.1:")
        assert client.peer_certificate is None


async def test_a_vanished_peer_is_an_abnormal_end() -> None:
    async with connected() as (client, server):
        client._websocket.transport.abort()
        assert (await ending_of(server)).code == 1006
        assert (await ending_of(client)).code == 1006


async def test_a_peer_that_breaks_the_websocket_protocol_is_told() -> None:
    async with connected() as (client, server):
        client._websocket.transport.write(b"\xff\xff\xff\xff")
        assert (await ending_of(server)).code == 1002


async def test_no_extension_compresses_frames_the_link_has_compressed() -> None:
    async with connected() as (client, server):
        assert client._websocket.protocol.extensions == server._websocket.protocol.extensions == []


async def test_nobody_listening_is_a_closed_connection(unused_port: int) -> None:
    with pytest.raises(ConnectionClosed, match="cannot connect"):
        await connect(f"ws://127.0.0.1:{unused_port}/v1/link")


async def test_a_server_that_is_no_hub_is_a_closed_connection() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        with pytest.raises(ConnectionClosed, match="cannot connect"):
            await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/link")


async def test_a_bad_address_is_a_closed_connection() -> None:
    with pytest.raises(ConnectionClosed, match="cannot connect"):
        await connect("http://127.0.0.1:1/")


async def test_the_library_is_kept_from_pinging() -> None:
    async with connected() as (client, server):
        assert client._websocket.ping_interval is server._websocket.ping_interval is None


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_certificate(folder: Path, name: str) -> tuple[Path, Path, bytes]:
    """Make a self-signed certificate; returns its file, its key's file, and its DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, key_pem = folder / f"{name}.crt", folder / f"{name}.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, key_pem, certificate.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext, bytes, bytes]:
    """Contexts of server and client that trust each other, and both certificates (DER)."""
    server_pem, server_key, server_der = write_certificate(tmp_path, "server")
    client_pem, client_key, client_der = write_certificate(tmp_path, "client")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(server_pem, server_key)
    server.load_verify_locations(client_pem)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_cert_chain(client_pem, client_key)
    client.load_verify_locations(server_pem)
    return server, client, server_der, client_der


async def test_both_ends_see_the_others_certificate(
    tls: tuple[ssl.SSLContext, ssl.SSLContext, bytes, bytes],
) -> None:
    server_tls, client_tls, server_der, client_der = tls
    async with connected(server_tls, client_tls) as (client, server):
        assert client.peer_certificate == server_der
        assert server.peer_certificate == client_der


async def test_a_certificate_of_another_authority_is_refused(
    tls: tuple[ssl.SSLContext, ssl.SSLContext, bytes, bytes], tmp_path: Path
) -> None:
    server_tls, client_tls, _, _ = tls
    (tmp_path / "other").mkdir()
    pem, key, _ = write_certificate(tmp_path / "other", "intruder")
    client_tls.load_cert_chain(pem, key)
    with pytest.raises(ConnectionClosed):
        async with connected(server_tls, client_tls) as (client, _):
            await client.receive()
