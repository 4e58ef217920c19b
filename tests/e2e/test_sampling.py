"""What nodes and pods use, from real processes at a real edge to ``kubectl top`` and Prometheus."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from examples.demo.processes import until
from tests.support.clusters import QUICK, pod, running_cluster, status_of
from tests.support.kubectl import Kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BURNER = """
import time
while True:
    began = time.process_time()
    while time.process_time() < began + 0.03:
        pass
    time.sleep(0.07)
"""

SERVER = """
import http.server, itertools, sys
count = itertools.count(0, 50)
class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = ['http_requests_total{code="200"} %d' % next(count), 'http_requests_total{code="500"} 1']
        text = "\\n".join(["# HELP x y", *told, "gpu_utilization 70.5", ""])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Metrics).serve_forever()
"""


def python(name: str, program: str, *args: str) -> Any:
    """Return a pod whose shell starts a Python of its own: what it uses, a child uses."""
    body = pod(name, '"$@" & wait', container={"name": "main"})
    body["spec"]["containers"][0]["command"] += ["sh", sys.executable, "-c", program, *args]
    return body


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def exported(address: str) -> dict[str, Any]:
    """Return the metric families at ``address`` by name."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as response:
        assert response.status == 200
        return {family.name: family for family in text_string_to_metric_families(await response.text())}


async def test_what_pods_use_shows_in_kubectl_top_and_prometheus(tmp_path: Path) -> None:
    port = free_port()
    async with running_cluster(tmp_path, *QUICK) as cluster:
        edge = await cluster.add_edge("edge-1")
        kubectl = Kubectl(cluster.cloud.kubeconfig, tmp_path)
        serving = python("serving", SERVER, str(port))
        serving["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}
        for body in (python("burning", BURNER), pod("idle", "sleep 3600"), serving):
            await cluster.api.create("pods", body)
        for name in ("burning", "idle", "serving"):
            await cluster.pod_is(name)

        async def topped() -> dict[str, list[str]] | None:
            listed = await kubectl.run("top", "pods", "--no-headers")
            rows = {line.split()[0]: line.split()[1:] for line in listed.out.splitlines()}
            return rows if {"burning", "idle", "serving"} <= rows.keys() else None

        rows = await until("all pods are measured", topped, within_s=60.0)
        burnt, idle = (int(rows[name][0].removesuffix("m")) for name in ("burning", "idle"))
        assert burnt >= 50
        assert idle < 20
        assert int(rows["burning"][1].removesuffix("Mi")) >= 3

        assert "edge-1" in await kubectl.ok("top", "nodes")
        assert "main" in await kubectl.ok("top", "pod", "burning", "--containers", "--no-headers")
        body = await cluster.api.get("pods.metrics.k8s.io", "default", "burning")
        assert body["window"] == "10s"
        assert set(body["containers"][0]["usage"]) == {"cpu", "memory"}

        await _exports(status_of(edge)["live"]["metrics"])

        await cluster.api.delete("pods", "default", "burning")
        await cluster.gone("pods", "burning")

        async def forgotten() -> bool:
            return "burning" not in await kubectl.ok("top", "pods", "--no-headers")

        await until("a pod that is gone is not measured", forgotten, within_s=60.0)


async def _exports(address: str) -> None:
    async def told() -> dict[str, Any] | None:
        families = await exported(address)
        requests = families["aiokubeedge_edge_requests_per_second"].samples[0].value
        return families if requests > 0 else None

    families = await until("requests are counted", told, within_s=60.0)
    by_pod = {each.labels["pod"]: each.value for each in families["container_cpu_usage_seconds"].samples}
    assert by_pod["burning"] > by_pod["idle"]
    assert 0 < families["aiokubeedge_edge_requests_per_second"].samples[0].value < 100
    assert families["aiokubeedge_edge_link_connected"].samples[0].value == 1
    total = families["node_memory_MemTotal_bytes"].samples[0].value
    assert total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert {each.labels["mode"] for each in families["node_cpu_seconds"].samples} >= {"user", "system", "idle"}
