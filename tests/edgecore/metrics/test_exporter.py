from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgecore.metrics import exporter
from edgecore.metrics.exporter import AT_ONCE, MAX_REQUEST_BYTES, exporting
from edgecore.metrics.exposition import Family, written
from edgecore.metrics.gpus import Gpus
from edgecore.metrics.machine import agent_families, machine_families
from edgecore.metrics.sensors import Sensors


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def ask(address: str, request: bytes) -> bytes:
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def told() -> str:
    return written([Family("up", "Up.", [({}, 1)])])


async def test_metrics_are_served() -> None:
    async with exporting(free_port(), told) as address:
        head, _, body = (await ask(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
        assert body.decode() == told()
        assert b"Content-Length: %d" % len(body) in head
        assert (await ask(address, b"HEAD /metrics?x HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\x00\xff\r\n\r\n", b"405"),
        (b"GET /" + b"x" * 3 * MAX_REQUEST_BYTES, b""),
    ],
)
async def test_what_is_no_question_gets_no_metrics(request_: bytes, status: bytes) -> None:
    async with exporting(free_port(), lambda: pytest.fail("asked")) as address:
        assert (await ask(address, request_))[9:12] == status


async def test_who_takes_too_long_is_cut_off_and_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "REQUEST_S", 0.05)
    async with exporting(free_port(), told) as address:
        slow = [ask(address, b"GET /metrics HT") for _ in range(2 * AT_ONCE)]
        assert await asyncio.gather(*slow) == [b""] * 2 * AT_ONCE
        assert (await ask(address, b"GET /metrics HTTP/1.1\r\n\r\n"))[9:12] == b"200"


async def test_a_port_that_is_taken_is_replaced_and_none_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with exporting(taken.getsockname()[1], told) as address:
            assert (await ask(address, b"GET /metrics HTTP/1.1\r\n\r\n"))[9:12] == b"200"
    async with exporting(0, told) as address:
        assert address == ""


def test_the_machine_is_shown_under_the_names_of_the_node_exporter(tmp_path: Path) -> None:
    text = written([*machine_families(tmp_path, Sensors(), Gpus()), *agent_families()])
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families.keys() >= {
        *("node_cpu_seconds", "node_load1", "node_load5", "node_load15", "node_memory_MemTotal_bytes"),
        *("node_memory_MemAvailable_bytes", "node_filesystem_size_bytes", "node_filesystem_avail_bytes"),
        *("node_network_receive_bytes", "node_network_transmit_bytes", "node_boot_time_seconds", "node_time_seconds"),
        *("node_uname_info", "process_cpu_seconds", "process_resident_memory_bytes"),
    }
    assert families["node_cpu_seconds"].type == "counter"
    cpus = {each.labels["cpu"] for each in families["node_cpu_seconds"].samples}
    assert len(cpus) == psutil.cpu_count()
    assert families["node_memory_MemTotal_bytes"].samples[0].value == psutil.virtual_memory().total
    stat = os.statvfs(tmp_path)
    assert families["node_filesystem_size_bytes"].samples[0].value == stat.f_blocks * stat.f_frsize
