"""What the whole daemon does as an API server, beside any other Kubernetes API server.

``PEER_KUBECONFIG=…`` names the other one: the same requests go to it, in the same run, one server after the other.
Ours is ``cloudcore run`` on SQLite, ``synchronous=FULL``, in a process of its own; its memory and start are measured
as well. The clients are this process: HTTP/1.1 by hand, over TLS.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import uvloop

from benchmarks.harness import Row, percentile, report
from benchmarks.httpclient import Client, open_clients
from examples.demo.processes import Cloud

PEER: Final = "PEER_KUBECONFIG"
_SPACE: Final = "bench-api"
_MAPS: Final = f"/api/v1/namespaces/{_SPACE}/configmaps"
_PODS: Final = f"/api/v1/namespaces/{_SPACE}/pods"
_FILLERS: Final = 16
_AIMS: Final = {
    "start to ready, s": "< 1.5",
    "memory idle, MiB": "≤ 130",
    "create/s, 8 clients": "≥ 3,000",
    "get/s, 8 clients": "≥ 6,000",
}

One = Callable[[Client, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    seconds: float = 3.0
    pods: int = 10_000
    objects: int = 50_000
    watchers: int = 1_000
    changes: int = 10


@dataclass(slots=True)
class Server:
    """A server under measurement and what was found."""

    kubeconfig: Path
    process: psutil.Process | None = None
    found: dict[str, float] = field(default_factory=dict)

    def note_memory(self, what: str) -> None:
        """Note the server's resident memory, where its process is known."""
        if self.process is not None:
            self.found[what] = self.process.memory_info().rss / 2**20


def a_map(name: str, turn: int = 0) -> bytes:
    metadata = {"name": name}
    return json.dumps({"metadata": metadata, "data": {"turn": str(turn), "padding": "x" * 200}}).encode()


def a_pod(name: str) -> bytes:
    # It waits for a scheduler that is not there, so that listing alone is measured.
    spec = {"schedulerName": "nobody", "containers": [{"name": "app", "image": "nginx:alpine"}]}
    return json.dumps({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec}).encode()


async def expect(client: Client, status: int, method: str, path: str, body: bytes = b"") -> None:
    got = await client.request(method, path, body)
    if got != status:
        raise SystemExit(f"{method} {path}: {got}")


async def create_map(client: Client, name: str) -> None:
    await expect(client, 201, "POST", _MAPS, a_map(name))


async def get_map(client: Client, name: str) -> None:
    del name
    await expect(client, 200, "GET", f"{_MAPS}/one")


async def rate(clients: list[Client], one: One, prefix: str, seconds: float) -> float:
    """Run ``one`` on every client for a while and return the rate per second."""
    started, done = time.perf_counter(), [0] * len(clients)

    async def lane(number: int) -> None:
        while time.perf_counter() < started + seconds:
            await one(clients[number], f"{prefix}-{number}-{done[number]}")
            done[number] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(len(clients)):
            group.create_task(lane(number), name=f"lane {number}")
    return sum(done) / (time.perf_counter() - started)


async def latency(clients: list[Client], one: One, prefix: str, per_s: float, seconds: float) -> float:
    """Send at a steady rate and return the 99th percentile of the time from when a request was due, ms."""
    taken: list[float] = []
    gap_s = len(clients) / per_s
    started = time.perf_counter()

    async def lane(number: int) -> None:
        for turn in range(max(int(seconds / gap_s), 1)):
            due = started + (turn + number / len(clients)) * gap_s
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            await one(clients[number], f"{prefix}-{number}-{turn}")
            taken.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(len(clients)):
            group.create_task(lane(number), name=f"lane {number}")
    return percentile(taken, 99) * 1000


async def fill(clients: list[Client], count: int, path: str, body: Callable[[str], bytes], prefix: str) -> None:
    """Create ``count`` objects as fast as the clients can."""
    names = iter(range(count))

    async def lane(client: Client) -> None:
        for number in names:
            await expect(client, 201, "POST", path, body(f"{prefix}-{number}"))

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(lane(client), name="fill")


async def fan_out(server: Server, writer: Client, scale: Scale) -> None:
    """Change one object and note how long until every watcher has each change."""
    watchers: list[Client] = []
    for _ in range(0, scale.watchers, 50):
        watchers += await open_clients(server.kubeconfig, min(50, scale.watchers - len(watchers)))
    path = f"{_MAPS}?watch=1&fieldSelector=metadata.name=one"
    if set(await asyncio.gather(*(each.watch(path) for each in watchers))) != {200}:
        raise SystemExit("a watch was refused")
    taken = []
    for turn in range(scale.changes):
        started = time.perf_counter()
        seen = asyncio.gather(*(each.events(1) for each in watchers))
        await expect(writer, 200, "PUT", f"{_MAPS}/one", a_map("one", turn + 1))
        await seen
        taken.append(time.perf_counter() - started)
    server.found[f"a change to {scale.watchers:,} watchers, ms"] = percentile(taken, 50) * 1000
    for each in watchers:
        each.close()


async def measure(server: Server, scale: Scale) -> None:
    """Measure one server, and clear away what was made."""
    clients = await open_clients(server.kubeconfig, _FILLERS)
    await clients[0].request("POST", "/api/v1/namespaces", json.dumps({"metadata": {"name": _SPACE}}).encode())
    await asyncio.sleep(1.0)  # where a controller has to make the namespace's account first
    await create_map(clients[0], "one")
    found = server.found
    for count in (1, 8):
        several = clients[:count]
        lanes = f"{count} client{'s' * (count > 1)}"
        found[f"create/s, {lanes}"] = await rate(several, create_map, f"c{count}", scale.seconds)
        found[f"get/s, {lanes}"] = await rate(several, get_map, "", scale.seconds)
    half = found["create/s, 8 clients"] / 2
    found["create p99 at half load, ms"] = await latency(clients[:8], create_map, "half", half, scale.seconds)
    half = found["get/s, 8 clients"] / 2
    found["get p99 at half load, ms"] = await latency(clients[:8], get_map, "", half, scale.seconds)
    await fan_out(server, clients[0], scale)
    await fill(clients, scale.pods, _PODS, a_pod, "pod")
    lists = []
    for _ in range(5):
        started = time.perf_counter()
        await expect(clients[0], 200, "GET", _PODS)
        lists.append(time.perf_counter() - started)
    found[f"LIST of {scale.pods:,} pods, ms"] = percentile(lists, 50) * 1000
    if server.process is not None:
        await fill(clients, scale.objects - scale.pods, _MAPS, a_map, "fill")
        server.note_memory(f"memory with {scale.objects:,} objects, MiB")
    await clients[0].request("DELETE", f"/api/v1/namespaces/{_SPACE}")
    for each in clients:
        each.close()


async def measure_own(folder: Path, scale: Scale) -> dict[str, float]:
    """Start a cloud of our own and measure it."""
    cloud = Cloud(folder / "cloud", "--max-pending-pods=1000000")
    started = time.perf_counter()
    await cloud.launch()
    try:
        await cloud.wait_ready()
        ready_s = time.perf_counter() - started
        server = Server(cloud.kubeconfig, psutil.Process(cloud.daemon.pid), {"start to ready, s": ready_s})
        server.note_memory("memory idle, MiB")
        await measure(server, scale)
        return server.found
    finally:
        await cloud.daemon.stop()


async def compare(scale: Scale) -> list[Row]:
    """Measure ours, then the peer if one is named; return a row for each figure."""
    with tempfile.TemporaryDirectory() as folder:
        own = await measure_own(Path(folder), scale)
    peer: dict[str, float] = {}
    if kubeconfig := os.environ.get(PEER):
        other = Server(Path(kubeconfig))
        await measure(other, scale)
        peer = other.found
    return [
        {
            "what": what,
            "aim": _AIMS.get(what, "-"),
            "measured": value,
            "peer": f"{peer[what]:,.2f}" if what in peer else "-",
        }
        for what, value in own.items()
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a few seconds in all")
    options = parser.parse_args(arguments)
    scale = Scale(0.5, 500, 1_000, 50, 3) if options.quick else Scale()
    report("apipeer", "The API server: cloudcore on SQLite, and the peer", uvloop.run(compare(scale)))


if __name__ == "__main__":
    main()
