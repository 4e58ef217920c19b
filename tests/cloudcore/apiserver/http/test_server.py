"""The API's port: strangers who do not get through TLS cost its clients nothing."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import aiohttp

from protocol.transports.acceptor import AcceptLimits
from tests.support.apiservers import RunningServer


async def test_those_who_connect_and_say_nothing_are_bounded_and_clients_do_not_wait_for_them(
    server: RunningServer, admin: aiohttp.ClientSession
) -> None:
    loop, limit = asyncio.get_running_loop(), AcceptLimits().half_open_per_address
    with ExitStack() as stack:
        strangers = []
        for _ in range(limit + 10):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.bind(("127.0.0.2", 0))
            await loop.sock_connect(sock, server.server.address)
            strangers.append(sock)
        # Over the bound of one address, the server hangs up at once.
        assert await loop.sock_recv(strangers[-1], 1) == b""
        async with admin.get("/api/v1/namespaces") as response:
            assert response.status == 200
