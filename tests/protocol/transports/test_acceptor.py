"""The bounds on connections whose peer has not introduced itself, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import structlog

from protocol.transports.acceptor import AcceptLimits, Acceptor
from protocol.transports.websocket import WebSocketConnection, connect, serve
from tests.support.waiting import aeventually

NEVER_S = 3600.0


async def echo(connection: WebSocketConnection) -> None:
    while True:
        await connection.send([await connection.receive()])


@asynccontextmanager
async def listening(**limits: float) -> AsyncIterator[tuple[Acceptor[WebSocketConnection], int]]:
    server = await serve(echo, limits=AcceptLimits(**limits))  # type: ignore[arg-type]
    try:
        yield server, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def strangers(count: int, port: int, address: str = "127.0.0.2") -> AsyncIterator[list[socket.socket]]:
    """Sockets that connect and say nothing."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        silent = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.bind((address, 0))
            await loop.sock_connect(sock, ("127.0.0.1", port))
            silent.append(sock)
        yield silent


async def hung_up_on(sock: socket.socket) -> bool:
    """Wait until the server has closed."""
    try:
        return await asyncio.get_running_loop().sock_recv(sock, 1) == b""
    except ConnectionResetError:
        return True


async def test_who_says_nothing_is_dropped_in_time() -> None:
    async with listening(handshake_s=0.05) as (server, port), strangers(3, port) as silent:
        assert all([await hung_up_on(sock) for sock in silent])
        await aeventually(lambda: server.half_open == 0)
        assert server.counters["timed_out"] == 3


async def test_half_a_request_is_not_enough() -> None:
    async with listening(handshake_s=0.05) as (_, port), strangers(1, port) as (sock,):
        sock.send(b"GET / HTTP/1.1\r\nHost:")
        assert await hung_up_on(sock)


async def test_one_address_has_its_bound_and_others_do_not_wait_for_it() -> None:
    limits = {"handshake_s": NEVER_S, "half_open": 10, "half_open_per_address": 3}
    async with listening(**limits) as (server, port), strangers(8, port) as silent:
        assert all([await hung_up_on(sock) for sock in silent[3:]])
        assert server.counters["refused"] == 5
        assert server.half_open == 3
        connection = await connect(f"ws://127.0.0.1:{port}/")
        await connection.send([b"hello"])
        assert await connection.receive() == b"hello"
        await connection.close()


async def test_a_session_that_is_open_is_not_counted() -> None:
    async with listening(half_open=1, half_open_per_address=1) as (server, port):
        connections = [await connect(f"ws://127.0.0.1:{port}/") for _ in range(5)]
        assert server.half_open == 0
        assert server.counters["accepted"] == 5
        for connection in connections:
            await connection.close()


async def test_over_the_bound_of_all_newcomers_wait_and_then_get_in() -> None:
    async with listening(handshake_s=NEVER_S, half_open=2, half_open_per_address=2) as (server, port):
        async with strangers(2, port):
            await aeventually(lambda: server.half_open == 2)
            waiting = asyncio.create_task(connect(f"ws://127.0.0.1:{port}/"), name="newcomer")
            await aeventually(lambda: server.counters["paused"] == 1)
            assert server.counters["accepted"] == 2
        connection = await waiting
        assert server.counters["accepted"] == 3
        await connection.close()


async def test_a_bound_that_is_reached_is_logged_once_for_many() -> None:
    with structlog.testing.capture_logs() as logs:
        limits = {"handshake_s": NEVER_S, "half_open_per_address": 1}
        async with listening(**limits) as (server, port), strangers(20, port):
            await aeventually(lambda: server.counters["refused"] == 19)
    assert [entry["event"] for entry in logs] == ["too many half-open connections of one address"]


async def test_a_handler_that_fails_is_logged_and_takes_nobody_along() -> None:
    async def fail(connection: WebSocketConnection) -> None:
        if await connection.receive() == b"fail":
            raise RuntimeError("as asked")
        await connection.send([b"well"])

    server = await serve(fail)
    try:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        first, second = await connect(url), await connect(url)
        with structlog.testing.capture_logs() as logs:
            await first.send([b"fail"])
            await aeventually(lambda: bool(logs))
        await second.send([b"go on"])
        assert await second.receive() == b"well"
        assert logs[0]["event"] == "a connection's handler failed"
    finally:
        server.close()
        await server.wait_closed()


async def test_closing_ends_every_connection() -> None:
    async with listening() as (server, port):
        connection = await connect(f"ws://127.0.0.1:{port}/")
        server.close()
        await server.wait_closed()
        assert server.sockets == ()
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the kernel likes
            await asyncio.open_connection("127.0.0.1", port)
        await connection.close()
