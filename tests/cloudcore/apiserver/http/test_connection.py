"""Connections: who shows no certificate may not stay for long."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from cloudcore.apiserver.http.connection import UNIDENTIFIED_S, ConnectionFactory

CERTIFICATE = {"subject": ((("commonName", "kubernetes-admin"),),)}


class Pipe(asyncio.Transport):
    """Takes nothing and is silent; knows the peer's certificate."""

    def __init__(self, certificate: dict[str, object] | None) -> None:
        super().__init__({"peercert": certificate})
        self.closings: list[float] = []

    def close(self) -> None:
        self.closings.append(asyncio.get_running_loop().time())


async def never(_request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("nobody asked")


@pytest.mark.looptime
@pytest.mark.parametrize(("certificate", "limit_s"), [(None, UNIDENTIFIED_S), ({}, UNIDENTIFIED_S), (CERTIFICATE, 300)])
async def test_a_silent_connection_is_closed(certificate: dict[str, object] | None, limit_s: float) -> None:
    pipe, start = Pipe(certificate), asyncio.get_running_loop().time()
    factory = ConnectionFactory(never, access_log=None, keepalive_timeout=300.0)
    connection = factory()
    connection.connection_made(pipe)
    await asyncio.sleep(limit_s - 1)
    assert pipe.closings == []
    await asyncio.sleep(2)
    assert pipe.closings[0] - start == pytest.approx(limit_s)
    connection.connection_lost(None)
    await factory.shutdown()
