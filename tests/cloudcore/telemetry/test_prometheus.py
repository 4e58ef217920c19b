from __future__ import annotations

import asyncio
import socket

import aiohttp

from cloudcore.telemetry.prometheus import Metrics, serve_metrics
from protocol.measures import Histogram


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


def test_a_histogram_is_shown_cumulated_per_label() -> None:
    spec = Histogram((0.1, 1.0))
    for value in (0.05, 0.5, 0.5, 7.0):
        spec.observe(value)
    metrics = Metrics()
    metrics.histogram("link_ack_seconds", "Acknowledgements.", lambda: {"spec": spec}, label="lane")
    text = metrics.exposition().decode()
    assert 'aiokubeedge_link_ack_seconds_bucket{lane="spec",le="0.1"} 1.0' in text
    assert 'aiokubeedge_link_ack_seconds_bucket{lane="spec",le="1.0"} 3.0' in text
    assert 'aiokubeedge_link_ack_seconds_bucket{lane="spec",le="+Inf"} 4.0' in text
    assert 'aiokubeedge_link_ack_seconds_sum{lane="spec"} 8.05' in text


def test_a_counter_may_have_three_labels() -> None:
    metrics = Metrics()
    reading = {("sent", "spec", "pods"): 12.0}
    metrics.counter("link_bytes", "Bytes.", lambda: reading, labels=("direction", "lane", "kind"))
    expected = 'aiokubeedge_link_bytes_total{direction="sent",kind="pods",lane="spec"} 12.0'
    assert expected in metrics.exposition().decode()
