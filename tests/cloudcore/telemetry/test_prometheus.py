from __future__ import annotations

import asyncio
import socket

import aiohttp

from cloudcore.telemetry.prometheus import Metrics, serve_metrics


def test_numbers_are_read_when_scraped() -> None:
    depth = {"spec": 1.0, "delete": 0.0}
    metrics = Metrics()
    metrics.gauge("outbox_depth", "Items waiting.", lambda: depth, label="lane")
    metrics.counter("api_requests", "Requests answered.", lambda: 7)
    depth["spec"] = 3.0
    text = metrics.exposition().decode()
    assert 'aiokubeedge_outbox_depth{lane="spec"} 3.0' in text
    assert "# TYPE aiokubeedge_outbox_depth gauge" in text
    assert "aiokubeedge_api_requests_total 7.0" in text
    assert "process_resident_memory_bytes" in text


async def test_metrics_are_served_over_http() -> None:
    metrics = Metrics()
    metrics.gauge("nodes_connected", "Connected nodes.", lambda: 2)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        port = sock.getsockname()[1]
        task = asyncio.create_task(serve_metrics(metrics, sock))
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                assert answer.status == 200
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                assert "aiokubeedge_nodes_connected 2.0" in await answer.text()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
