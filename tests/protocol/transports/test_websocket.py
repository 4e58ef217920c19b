from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
import uvloop
import websockets.asyncio.client
import websockets.asyncio.server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.exceptions import ConnectionClosed as LibraryClosed

from protocol.errors import ConnectionClosed
from protocol.frames import CloseCode
from protocol.transports.websocket import RECORD_BYTES, SUBPROTOCOL, WebSocketConnection, connect, serve
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


# --- peers that use the library's own connections ---------------------------------------------------------------------


def url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/v1/link"


def library_client(port: int) -> websockets.asyncio.client.connect:
    return websockets.asyncio.client.connect(url(port), subprotocols=[SUBPROTOCOL], max_size=None)


@asynccontextmanager
async def hub(echo_from: int = 1) -> AsyncIterator[int]:
    """A server of ours that echoes; its port."""

    async def echo(connection: WebSocketConnection) -> None:
        try:
            while True:
                await connection.send([await connection.receive()] * echo_from)
        except ConnectionClosed:
            return

    server = await serve(echo)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_the_librarys_client_talks_to_our_server() -> None:
    async with hub() as port, library_client(port) as peer:
        for size in (0, 1, 125, 126, 65_535, 65_536, 300_000):
            await peer.send(bytes(size))
            assert await peer.recv() == bytes(size)
        await peer.send([b"in ", b"three ", b"", b"pieces"])
        assert await peer.recv() == b"in three pieces"
        await peer.send("text")
        assert await peer.recv() == b"text"
        await (await peer.ping())  # answered
        await peer.send(b"still there")
        assert await peer.recv() == b"still there"


async def test_our_client_talks_to_the_librarys_server() -> None:
    async def converse(peer: websockets.asyncio.server.ServerConnection) -> None:
        async for message in peer:
            await peer.ping(b"?")
            await peer.send([message[:2], message[2:]])
            await peer.send(message)
            if message == b"enough":
                await peer.close(4044, "later")

    async with websockets.asyncio.server.serve(converse, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server:
        client = await connect(url(server.sockets[0].getsockname()[1]))
        for message in (b"hello", b"x" * 70_000, b"enough"):
            await client.send([message])
            assert await client.receive() == message
            assert await client.receive() == message
        ended = await ending_of(client)
        assert (ended.code, ended.reason) == (4044, "later")


async def test_the_librarys_client_is_told_code_and_reason() -> None:
    async with connected_library() as (peer, server):
        await server.close(4044, "later")
        with pytest.raises(LibraryClosed):
            await peer.recv()
        assert (peer.close_code, peer.close_reason) == (4044, "later")


async def test_the_library_s_client_may_close_too() -> None:
    async with connected_library() as (peer, server):
        await peer.close(4001, "mine")
        ended = await ending_of(server)
        assert (ended.code, ended.reason) == (4001, "mine")


async def test_a_message_in_pieces_is_bounded_like_a_whole_one() -> None:
    async with connected_library() as (peer, server):
        with pytest.raises(LibraryClosed):
            await peer.send(bytes(1 << 20) for _ in range(100))
        assert peer.close_code == 1009
        assert (await ending_of(server)).code == 1009


@asynccontextmanager
async def connected_library() -> AsyncIterator[tuple[websockets.asyncio.client.ClientConnection, WebSocketConnection]]:
    """A client of the library's and our end of its connection."""
    accepted: asyncio.Future[WebSocketConnection] = asyncio.get_running_loop().create_future()

    async def handle(connection: WebSocketConnection) -> None:
        accepted.set_result(connection)
        await asyncio.Event().wait()

    server = await serve(handle)
    try:
        async with library_client(server.sockets[0].getsockname()[1]) as peer:
            yield peer, await accepted
    finally:
        server.close()
        await server.wait_closed()


async def test_frames_of_one_send_travel_together() -> None:
    async with hub(echo_from=50) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GREETING)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x82\x81\x00\x00\x00\x00!")
        assert await reader.read(1000) == b"\x82\x01!" * 50
        writer.close()


async def test_a_peer_that_only_pings_and_takes_nothing_is_cut_off() -> None:
    async with hub() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(GREETING)
        await reader.readuntil(b"\r\n\r\n")
        writer.write((b"\x89\xfd" + bytes(4) + bytes(125)) * 2_000)
        answers = await reader.read(-1)
        assert answers.count(b"\x8a\x7d" + bytes(125)) <= 1_024
        assert answers[answers.rindex(b"\x88") + 2 :].startswith((1008).to_bytes(2, "big"))
        writer.close()


async def test_a_head_without_end_is_cut_off() -> None:
    async with hub() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nCookie: " + b"x" * 20_000)
        assert await reader.read() == b""
        writer.close()


async def test_a_request_that_is_no_upgrade_is_answered() -> None:
    async with hub() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 426 ")
        writer.close()


GREETING = (
    b"GET /v1/link HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: aiokubeedge.v1\r\n\r\n"
)


async def test_addresses_are_host_and_port() -> None:
    async with connected() as (client, server):
        assert client.peer_address.startswith("127.0.0.1:")
        assert server.peer_address.startswith("127.0.0.1:")
        assert client.peer_certificate is None


async def test_a_vanished_peer_is_an_abnormal_end() -> None:
    async with connected() as (client, server):
        client.abort()
        assert (await ending_of(server)).code == 1006
        assert (await ending_of(client)).code == 1006


async def test_a_peer_that_breaks_the_websocket_protocol_is_told() -> None:
    async with connected() as (client, server):
        client._connected().write(b"\xff\xff\xff\xff")
        assert (await ending_of(server)).code == 1002


async def test_no_extension_compresses_frames_the_link_has_compressed() -> None:
    async with hub() as port, library_client(port) as peer:
        assert peer.protocol.extensions == []
        assert peer.subprotocol == SUBPROTOCOL


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


def test_all_of_it_on_the_daemons_event_loop(tls: tuple[ssl.SSLContext, ssl.SSLContext, bytes, bytes]) -> None:
    server_tls, client_tls, server_der, client_der = tls

    async def converse() -> None:
        async with connected(server_tls, client_tls) as (client, server):
            assert (client.peer_certificate, server.peer_certificate) == (server_der, client_der)
            for sender, receiver in ((client, server), (server, client)):
                frames = [bytes(length) for length in (0, 1, 200, 70_000, 300_000)]
                async with asyncio.TaskGroup() as group:
                    group.create_task(sender.send(frames), name="send")
                    assert [await receiver.receive() for _ in frames] == frames
            closing = asyncio.create_task(server.close(4044, "later"), name="close")
            ended = await ending_of(client)
            assert (ended.code, ended.reason) == (4044, "later")
            await closing

    uvloop.run(converse())


@pytest.mark.slow
def test_a_peer_that_goes_on_sending_still_hears_why_it_was_closed(
    tls: tuple[ssl.SSLContext, ssl.SSLContext, bytes, bytes],
) -> None:
    """A socket that is closed on unread bytes answers with a reset, which overtakes the close frame."""

    async def overdo() -> None:
        async with connected(*tls[:2]) as (client, server):
            listening = asyncio.create_task(ending_of(server), name="listen")
            transport = client._connected()
            transport.write(b"\x82\xff" + (64 << 20).to_bytes(8, "big") + bytes(4))
            while client._ended is None and not client._framing.closing:
                transport.write(bytes(256 << 10))
                await asyncio.sleep(0)
            assert (await ending_of(client)).code == CloseCode.MESSAGE_TOO_BIG
            await listening

    for _ in range(5):
        uvloop.run(overdo())


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


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_large_write_is_cut_into_records_over_tls_alone(
    tls: tuple[ssl.SSLContext, ssl.SSLContext, bytes, bytes], encrypted: bool
) -> None:
    large = bytes(3 * RECORD_BYTES)
    async with connected(*(tls[:2] if encrypted else ())) as (client, server):
        with mock.patch.object(server, "_transport", wraps=server._transport) as transport:
            await server.send([large])
        assert await client.receive() == large
        written = [len(call.args[0]) for call in transport.write.call_args_list]
        assert (max(written) <= RECORD_BYTES) is encrypted
        assert sum(written) == len(large) + 4


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
