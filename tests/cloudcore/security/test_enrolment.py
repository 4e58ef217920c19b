"""The enrolment server over real TLS, as a device sees it."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.clock import SystemClock
from cloudcore.errors import StorageUnavailable
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.enrolment import EnrolmentServer, EnrolmentSettings
from cloudcore.security.joining import Joining
from cloudcore.security.ratelimit import RateLimit
from cloudcore.security.serving import server_context, server_credential
from cloudcore.security.tokenstore import create_token
from cloudcore.store.memory import MemoryStore
from tests.support.csrs import node_csr

HUB = ["wss://127.0.0.1:10000/v1/link"]


@dataclass
class Device:
    """A device with an HTTP client."""

    url: str
    http: aiohttp.ClientSession
    trust: ssl.SSLContext
    client: LocalClient
    ca: CertificateAuthority

    async def request(self, **changes: Any) -> dict[str, Any]:
        token = await create_token(self.client, self.ca, "edge-1", 3600, SystemClock().wall())
        body = {"token": token, "csr": node_csr("edge-1").decode(), "instanceId": "i-1", "runtimes": ["process"]}
        return {key: value for key, value in {**body, **changes}.items() if value is not None}

    async def post(self, body: Any, *, raw: bytes | None = None) -> tuple[int, dict[str, Any], Any]:
        arguments: dict[str, Any] = {"data": raw} if raw is not None else {"json": body}
        async with self.http.post(f"{self.url}/enrol", ssl=self.trust, **arguments) as response:
            return response.status, await response.json(), response.headers


@asynccontextmanager
async def device(folder: Path, settings: EnrolmentSettings | None = None) -> AsyncIterator[Device]:
    clock, store = SystemClock(), MemoryStore()
    registry = Registry(store)
    await bootstrap(registry)
    client, ca = LocalClient(registry), CertificateAuthority.create(clock.wall())
    server = EnrolmentServer(Joining(client, ca, clock.wall), ca, hub_urls=lambda: HUB, clock=clock, settings=settings)
    sock = socket.create_server(("127.0.0.1", 0))
    tls = server_context(*server_credential(ca, folder, ["127.0.0.1"], clock.wall()), ca=ca, clients=ssl.CERT_NONE)
    running = asyncio.create_task(server.run(sock, tls))
    trust = ssl.create_default_context(cadata=ca.certificate_pem.decode())
    try:
        async with aiohttp.ClientSession() as http:
            yield Device(f"https://127.0.0.1:{sock.getsockname()[1]}", http, trust, client, ca)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


async def test_a_device_fetches_the_authority_unverified_and_compares_it_with_its_token(tmp_path: Path) -> None:
    async with device(tmp_path) as d:
        async with d.http.get(f"{d.url}/ca.crt", ssl=False) as response:
            pem = await response.text()
        token = (await d.request())["token"]
        assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() == token.partition(".")[0]


async def test_a_device_enrols(tmp_path: Path) -> None:
    async with device(tmp_path) as d:
        status, answer, _ = await d.post(await d.request(labels={"site": "hall-3"}))
        assert status == 200
        assert answer["node"] == "edge-1"
        assert answer["hub"] == {"websocket": HUB}
        assert answer["ca"] == d.ca.certificate_pem.decode()
        assert "BEGIN CERTIFICATE" in answer["certificate"]
        node = await d.client.get("nodes", "", "edge-1")
        assert node["metadata"]["labels"]["site"] == "hall-3"


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"token": "x"}, 400, "TokenMalformed"),
        ({"token": None}, 400, "BadRequest"),
        ({"token": 5}, 400, "BadRequest"),
        ({"instanceId": ""}, 400, "BadRequest"),
        ({"instanceId": "a b"}, 400, "BadRequest"),
        ({"runtimes": ["a,b"]}, 400, "BadRequest"),
        ({"labels": {"a": 1}}, 400, "BadRequest"),
        ({"unknown": 1}, 400, "BadRequest"),
        ({"csr": "rubbish"}, 403, "CsrRefused"),
        ({"csr": node_csr("edge-2").decode()}, 403, "CsrRefused"),
        ({"labels": {"node-role.kubernetes.io/control-plane": ""}}, 403, "LabelRefused"),
    ],
)
async def test_refusals_are_one_line_with_a_reason(
    tmp_path: Path, changes: dict[str, Any], status: int, reason: str
) -> None:
    async with device(tmp_path) as d:
        got, answer, _ = await d.post(await d.request(**changes))
        assert (got, answer["reason"]) == (status, reason)
        assert answer["error"]
        assert "\n" not in answer["error"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b'"x"'])
async def test_what_is_not_the_documented_json(tmp_path: Path, raw: bytes) -> None:
    async with device(tmp_path) as d:
        status, answer, _ = await d.post(None, raw=raw)
        assert (status, answer["reason"]) == (400, "BadRequest")


async def test_a_body_over_the_limit(tmp_path: Path) -> None:
    async with device(tmp_path) as d:
        status, answer, _ = await d.post(None, raw=b'{"token": "' + b"x" * 70_000 + b'"}')
        assert (status, answer["reason"]) == (413, "TooLarge")


async def test_an_address_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with device(tmp_path, EnrolmentSettings(rate=RateLimit(per_s=0.001, burst=1.0))) as d:
        await d.post({})
        status, answer, headers = await d.post({})
        assert (status, answer["reason"]) == (429, "TooManyRequests")
        assert int(headers["Retry-After"]) >= 1


async def test_too_many_at_once_are_told_to_come_back(tmp_path: Path) -> None:
    async with device(tmp_path, EnrolmentSettings(concurrent=0)) as d:
        status, answer, headers = await d.post(await d.request())
        assert (status, answer["reason"]) == (429, "TooManyRequests")
        assert "Retry-After" in headers


@asynccontextmanager
async def half_a_request(d: Device) -> AsyncIterator[asyncio.StreamReader]:
    """Begin to enrol, and send no more than the body's first byte."""
    port = int(d.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=d.trust, server_hostname="127.0.0.1")
    writer.write(b"POST /enrol HTTP/1.1\r\nHost: cloud\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    try:
        yield reader
    finally:
        writer.close()


async def test_strangers_who_send_slowly_take_no_place_of_those_who_join(tmp_path: Path) -> None:
    async with device(tmp_path, EnrolmentSettings(concurrent=1)) as d, half_a_request(d):
        status, _, _ = await d.post(await d.request())
        assert status == 200


@pytest.mark.slow
async def test_a_body_that_does_not_arrive_is_not_waited_for(tmp_path: Path) -> None:
    async with device(tmp_path, EnrolmentSettings(body_s=0.01)) as d, half_a_request(d) as reader:
        assert (await reader.readline()).split()[1] == b"408"


async def test_a_full_disk_is_a_503_and_burns_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StorageUnavailable("the disk is full", retry_after_s=7)

    async with device(tmp_path) as d:
        body = await d.request()
        with monkeypatch.context() as patched:
            patched.setattr(LocalClient, "update", full)
            status, answer, headers = await d.post(body)
            assert (status, answer["reason"], headers["Retry-After"]) == (503, "Unavailable", "7")
        status, _, _ = await d.post(body)
        assert status == 200
