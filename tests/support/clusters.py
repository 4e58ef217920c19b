"""A real cloud with real edges, for the end-to-end tests: processes on loopback, in a folder of their own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from cloudcore.errors import NotFound
from cloudcore.rest import RestClient
from cloudcore.security.ca import CertificateAuthority
from cloudcore.security.tokenstore import create_token
from edgecore import local
from edgecore.join import Request, join
from edgecore.meta.engine import Snapshot
from edgecore.meta.sqlite import read_only
from edgecore.node.identity import DataFolder
from examples.demo.processes import BIN, Cloud, Daemon, Edge, Gate, processes_in, until
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body, NodeName

QUICK = ("--node-grace-s=5", "--heartbeat-s=1")
"""Flags of a cloud that notices an absent node within seconds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command gave."""

    code: int
    out: str
    err: str


async def run(name: str, *args: str) -> Outcome:
    """Run one of the installed commands to its end."""
    process = await asyncio.create_subprocess_exec(
        str(BIN / name), *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


def pod_processes(edge: Edge) -> dict[str, list[int]]:
    """Return the pids of the containers' processes on ``edge``, supervisors left out, by the uid of their pod."""
    root = DataFolder(edge.data_dir).pods
    by_uid: dict[str, list[int]] = {}
    for process in psutil.process_iter(["cwd", "status"]):
        cwd = Path(process.info["cwd"] or "/")
        if root in cwd.parents and "containers" in cwd.parts and process.info["status"] != psutil.STATUS_ZOMBIE:
            by_uid.setdefault(cwd.relative_to(root).parts[0], []).append(process.pid)
    return by_uid


def held_by(edge: Edge) -> Snapshot:
    """Return what the meta store of ``edge`` holds on disk."""
    return read_only(DataFolder(edge.data_dir).meta)


def status_of(edge: Edge) -> dict[str, Any]:
    """Return what ``edgecore status --output=json`` prints."""
    return local.status_of(local.read(edge.data_dir))


def pods_at(edge: Edge) -> dict[str, dict[str, Any]]:
    """Return the rows of ``edgecore pods`` by the pod's name."""
    return {row["name"]: row for row in local.pods_of(local.read(edge.data_dir), local.wall_clock())}


def link_of(edge: Edge) -> dict[str, Any]:
    """Return what the agent last recorded of its link."""
    try:
        recorded: dict[str, Any] = json.loads(DataFolder(edge.data_dir).link.read_text())
    except (OSError, ValueError):
        return {}
    return recorded


def log_lines(daemon: Daemon) -> list[dict[str, Any]]:
    """Return the structured lines of a daemon's log."""
    lines = []
    for line in daemon.log_path.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            lines.append(json.loads(line))
    return lines


def pod(name: str, script: str, *, namespace: str = "default", **spec: Any) -> Body:
    """Return a pod with one container ``main`` that runs a shell script.

    Args:
        name: Its name.
        script: What ``sh -c`` runs.
        namespace: Its namespace.
        **spec: More fields of the spec; ``container`` holds more fields of the container.
    """
    container = {"name": "main", "image": "none", "command": ["sh", "-c", script], **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
    }


def config_map(name: str, *, namespace: str = "default", **data: str) -> Body:
    """Return a ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def container_status(body: Body, name: str = "main") -> Body:
    """Return a container's status; empty where there is none yet."""
    statuses = (body.get("status") or {}).get("containerStatuses") or ()
    return next((each for each in statuses if each["name"] == name), {})


@dataclass
class Cluster:
    """A running cloud, a client with the administrator's rights, and edges."""

    folder: Path
    cloud: Cloud
    api: RestClient
    edges: dict[str, Edge] = field(default_factory=dict)

    async def add_edge(
        self, node: str, *, gate: Gate | None = None, labels: Mapping[str, str] | None = None, ready: bool = True
    ) -> Edge:
        """Join an edge and start its agent; through ``gate``, if one is given.

        Args:
            node: The node's name.
            gate: What its link goes through.
            labels: Labels of the Node.
            ready: Wait until the node is Ready.
        """
        edge = self.edges[node] = Edge(self.folder / node, node)
        await self.join(edge, labels or {})
        await edge.start(*([f"--hub=wss://127.0.0.1:{gate.port}"] if gate else []))
        if ready:
            await self.node_is(node, "True")
        return edge

    async def join(self, edge: Edge, labels: Mapping[str, str]) -> None:
        """Join ``edge`` as the commands do, without starting an interpreter for each."""
        authority = CertificateAuthority.load(self.cloud.data_dir / "pki")
        token = await create_token(self.api, authority, edge.node, 3600.0, time.time())
        server = f"https://127.0.0.1:{self.cloud.ports['enrol_port']}"
        request = Request(server, token, NodeName(edge.node), labels)
        await asyncio.to_thread(join, DataFolder(edge.data_dir), request)

    async def node_is(self, node: str, status: str, *, within_s: float = 60.0) -> Body:
        """Wait until the condition Ready of ``node`` is ``status`` and return the node."""

        async def check() -> Body | None:
            body = await self.api.get("nodes", "", node)
            ready = find_condition((body.get("status") or {}).get("conditions"), "Ready")
            return body if ready and ready["status"] == status else None

        return await until(f"node {node} has Ready={status}", check, within_s=within_s)

    async def pod_is(
        self, name: str, phase: str = "Running", *, namespace: str = "default", within_s: float = 60.0
    ) -> Body:
        """Wait until a pod is in ``phase`` (Running: its container too) and return it."""

        async def check() -> Body | None:
            body = await self.api.get("pods", namespace, name)
            running = phase != "Running" or "running" in (container_status(body).get("state") or {})
            return body if (body.get("status") or {}).get("phase") == phase and running else None

        return await until(f"pod {name} is {phase}", check, within_s=within_s)

    async def gone(
        self, resource: str, name: str, *, namespace: str = "default", uid: str = "", within_s: float = 60.0
    ) -> None:
        """Wait until an object (with that uid, if one is given) is gone from the API."""

        async def check() -> bool:
            try:
                body = await self.api.get(resource, namespace, name)
            except NotFound:
                return True
            return bool(uid) and body["metadata"]["uid"] != uid

        await until(f"{resource}/{name} is gone", check, within_s=within_s)

    async def ended(self, edge: Edge, uid: str, *, within_s: float = 60.0) -> None:
        """Wait until no process of a pod is left on ``edge``."""

        async def check() -> bool:
            return uid not in pod_processes(edge)

        await until(f"the processes of pod {uid} have ended", check, within_s=within_s)

    def show_logs(self) -> None:
        """Print the end of every log, for the report of a failed test."""
        for daemon in (self.cloud.daemon, *(edge.daemon for edge in self.edges.values())):
            print(f"── {daemon.name}: end of its log ──\n{daemon.tail()}")  # noqa: T201 - pytest shows it

    async def stop(self) -> None:
        """Stop everything that was started, pods included."""
        for edge in self.edges.values():
            await edge.daemon.kill()
        await self.cloud.daemon.stop()
        while left := processes_in(self.folder):
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=10)


@asynccontextmanager
async def running_cluster(folder: Path, *flags: str) -> AsyncIterator[Cluster]:
    """Run a cloud with ``flags``; everything that was started in it ends with the block."""
    async with AsyncExitStack() as stack:
        cloud = Cloud(folder / "cloud", *flags)
        stack.push_async_callback(cloud.daemon.stop)
        await cloud.start()
        cluster = Cluster(folder, cloud, await stack.enter_async_context(cloud.client()))
        stack.push_async_callback(cluster.stop)
        try:
            yield cluster
        except BaseException:
            cluster.show_logs()
            raise
