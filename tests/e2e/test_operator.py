"""An operator in a public framework (kopf), unchanged, against a real cloud with a real edge."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from kubernetes_asyncio import client, config

from examples.demo.processes import until
from tests.support.clusters import Cluster, running_cluster

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

EXAMPLE = Path("examples/operator")
WEBSITES = ("examples.aiokubeedge.io", "v1", "default", "websites")


def manifest(name: str) -> Any:
    return yaml.safe_load((EXAMPLE / name).read_text())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@asynccontextmanager
async def running_operator(cluster: Cluster, log: Path) -> AsyncIterator[None]:
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "kopf"),
            "run",
            "--all-namespaces",
            str(EXAMPLE / "operator.py"),
            env={**os.environ, "KUBECONFIG": str(cluster.cloud.kubeconfig)},
            stdout=output,
            stderr=output,
        )
    try:
        yield
        assert process.returncode is None, log.read_text()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def shows(port: int, page: str) -> bool:
    """Whether the server hands out ``page``; until it listens, the refused connection is waited out."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
        return await response.text() == page


async def test_an_operator_runs_a_website_at_the_edge(tmp_path: Path) -> None:
    log, port = tmp_path / "operator.log", free_port()
    async with running_cluster(tmp_path) as cluster:
        await cluster.add_edge("edge-1")
        async with await config.new_client_from_config(str(cluster.cloud.kubeconfig)) as api:
            await client.ApiextensionsV1Api(api).create_custom_resource_definition(manifest("definition.yaml"))
            async with running_operator(cluster, log):
                await _life_of_a_website(api, port)
    assert "Traceback" not in log.read_text()


async def _life_of_a_website(api: Any, port: int) -> None:
    websites = client.CustomObjectsApi(api)
    website = manifest("website.yaml")
    website["spec"]["port"] = port
    await websites.create_namespaced_custom_object(*WEBSITES, website)

    async def serving() -> Any:
        body = await websites.get_namespaced_custom_object(*WEBSITES, "hello")
        return body if (body.get("status") or {}).get("ready") == 1 else None

    body = await until("the website is served", serving)
    assert body["status"]["phase"] == "Serving"
    assert any("kopf" in each for each in body["metadata"]["finalizers"])
    await until("the page is served", lambda: shows(port, "Hello from the edge.\n"))
    await websites.patch_namespaced_custom_object(
        *WEBSITES, "hello", {"spec": {"page": "Changed.\n"}}, _content_type="application/merge-patch+json"
    )

    await until("the page has changed at the edge", lambda: shows(port, "Changed.\n"))
    await websites.delete_namespaced_custom_object(*WEBSITES, "hello")

    async def gone() -> bool:
        left = [
            *(await websites.list_namespaced_custom_object(*WEBSITES))["items"],
            *(await client.AppsV1Api(api).list_namespaced_deployment("default")).items,
            *(await client.CoreV1Api(api).list_namespaced_pod("default")).items,
        ]
        return not left

    await until("the website and all that came of it are gone", gone)
