"""The real daemons at rest: start time, memory, processor and traffic of ``cloudcore run`` and ``edgecore run``.

The agent is joined, dials the hub through a relay that counts bytes, and is left alone; then it gets one pod of the
``process`` runtime and is left alone again. Its heartbeats and samples are its own. Last, pods are bound to it one by
one: a pod's time runs from before the request that creates it until its process has made a file, by the file's own
time, which is up to a tick of the kernel (4 ms) early; and the agent is started anew without its metaserver.
``PEER_EDGECORE=PATH`` measures a peer's agent at rest beside it (``peeragent``).

Usage: ``python -m benchmarks.footprint [--idle-seconds 60] [--quick]``
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import psutil
import uvloop

from benchmarks.children import cpu_s, resident_bytes
from benchmarks.harness import Row, report
from benchmarks.httpclient import open_clients
from benchmarks.meter import Meter
from benchmarks.peeragent import AtRest, peer_at_rest
from benchmarks.world import config_map, pod
from cloudcore.rest import RestClient
from examples.demo.processes import Cloud, Edge, until
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body

NODE = "edge-node-01"
SETTLE_S = 3.0
DAY_S = 86_400.0
WRITES = 40
BATCHED = 200
STARTS = 20
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Bench:
    """The measurements on one cloud and one agent."""

    def __init__(self, folder: Path, idle_s: float) -> None:
        self._folder = folder
        self._idle_s = idle_s
        self._peer: AtRest | None = None
        self.rows: list[Row] = []

    def add(self, what: str, measured: float, unit: str, peer: str, aim: str) -> None:
        """Note a result."""
        self.rows.append({"what": what, "measured": measured, "unit": unit, "peer": peer, "aim": aim})

    async def run(self) -> None:
        """Measure."""
        self._peer = await peer_at_rest(self._folder, self._idle_s)
        cloud = Cloud(self._folder / "cloud", "--log-level=warning")
        started = time.monotonic()
        await cloud.start()
        self.add("cloudcore, cold start to ready", time.monotonic() - started, "s", "3.8", "1.5")
        try:
            await asyncio.sleep(SETTLE_S)
            self.add("cloudcore, idle, resident", resident_bytes(cloud.daemon.pid) / 1e6, "MB", "350 MiB", "130")
            async with cloud.client() as client, Meter(cloud.ports["ws_port"]) as meter:
                edge = Edge(self._folder / "edge", NODE)
                await edge.join(cloud)
                try:
                    await self._agent(cloud, edge, client, meter)
                finally:
                    await edge.daemon.stop()
        finally:
            await cloud.daemon.stop()

    async def _agent(self, cloud: Cloud, edge: Edge, client: RestClient, meter: Meter) -> None:
        hub = f"--hub=wss://127.0.0.1:{meter.port}"
        started = time.monotonic()
        await edge.start(hub, "--log-level=warning")
        await until("the node is Ready", lambda: _ready(client), poll_s=0.01)
        self.add("edgecore, start to Ready in the API", time.monotonic() - started, "s", "-", "-")
        await asyncio.sleep(SETTLE_S)
        await self._rest(edge, meter, "no pod", self._idle_s)
        body = pod("app", NODE, ["wire", *(f"wire-{each}" for each in range(BATCHED))])
        body["spec"]["containers"][0]["command"] = ["sleep", "1000000"]
        await client.create("pods", body)
        await until("the pod runs", lambda: _running(client), poll_s=0.05)
        await asyncio.sleep(SETTLE_S)
        await self._rest(edge, meter, "1 pod", self._idle_s / 4)
        supervisors = [child for child in _descendants(edge) if "supervisor" in " ".join(child.cmdline())]
        for supervisor in supervisors[:1]:
            self.add("supervisor of one pod, resident", resident_bytes(supervisor.pid) / 1e6, "MB", "-", "-")
        await self._wire(cloud, meter)
        await self._starts(client, self._folder)
        for each in await client.list("pods", "default"):
            await client.delete("pods", "default", each["metadata"]["name"], grace_s=0)
        await until("the pods are gone", lambda: _gone(client))
        await edge.daemon.stop()
        await edge.start(hub, "--log-level=warning", "--no-metaserver")
        await asyncio.sleep(2 * SETTLE_S)
        resident = resident_bytes(edge.daemon.pid) / 1e6
        self.add("edgecore, no metaserver, no pod, resident", resident, "MB", self._peers_memory, "50")

    async def _starts(self, client: RestClient, folder: Path) -> None:
        """Time pods of the process runtime from before they are bound to when their process is at work."""
        took = sorted([await _start(client, folder / f"started-{number}") for number in range(STARTS)])
        self.add("bound pod to started process, median", statistics.median(took) * 1e3, "ms", "-", "50")
        self.add("bound pod to started process, slowest", took[-1] * 1e3, "ms", "-", "-")

    @property
    def _peers_memory(self) -> str:
        return "88 MiB + 42" if self._peer is None else f"{self._peer.resident_mb:.1f}"

    @property
    def _peers_share(self) -> str:
        return "0.7" if self._peer is None else f"{self._peer.share:.2f}"

    async def _rest(self, edge: Edge, meter: Meter, what: str, seconds: float) -> None:
        """Leave the agent alone for a while."""
        pid = edge.daemon.pid
        used, (down, up), began = cpu_s(pid), meter.read(), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - began
        down, up = meter.down - down, meter.up - up
        self.add(f"edgecore, {what}, resident", resident_bytes(pid) / 1e6, "MB", self._peers_memory, "60")
        self.add(
            f"edgecore, {what}, processor", (cpu_s(pid) - used) / took * 100, "% of a core", self._peers_share, "0.3"
        )
        self.add(f"idle traffic, {what}, up", up / took * DAY_S / 1e6, "MB/day", "15", "1")
        self.add(f"idle traffic, {what}, down", down / took * DAY_S / 1e6, "MB/day", "15", "1")

    async def _wire(self, cloud: Cloud, meter: Meter) -> None:
        """Count the bytes of ConfigMaps on their way down and of their acks: one by one, then many at once."""
        clients = await open_clients(cloud.kubeconfig, 8)
        await clients[0].send("POST", CONFIG_MAPS, config_map("wire", time.monotonic_ns()))
        await asyncio.sleep(1.0)
        sizes = [await self._one(clients[0].send, meter) for _ in range(WRITES)]
        # A heartbeat falls into a few of them: the median is without one.
        self.add("a 256 B ConfigMap down, single", sorted(each[0] for each in sizes)[WRITES // 2], "B", "954", "400")
        self.add("its ack up, single", sorted(each[1] for each in sizes)[WRITES // 2], "B", "310", "40")
        down, up = meter.read()
        names = iter(range(BATCHED))

        async def lane(index: int) -> None:
            for number in names:
                body = config_map(f"wire-{number}", time.monotonic_ns())
                await clients[index].send("POST", CONFIG_MAPS, body)

        await asyncio.gather(*(lane(index) for index in range(len(clients))))
        await asyncio.sleep(1.0)
        self.add("a 256 B ConfigMap down, in a burst", (meter.down - down) / BATCHED, "B", "954", "-")
        self.add("its ack up, in a burst", (meter.up - up) / BATCHED, "B", "310", "-")
        for each in clients:
            each.close()

    @staticmethod
    async def _one(send, meter: Meter) -> tuple[int, int]:  # type: ignore[no-untyped-def]
        down, up = meter.read()
        await send("PUT", f"{CONFIG_MAPS}/wire", config_map("wire", time.monotonic_ns()))
        await asyncio.sleep(0.1)
        return meter.down - down, meter.up - up


async def _ready(client: RestClient) -> bool:
    node = await client.get("nodes", "", NODE)
    condition = find_condition((node.get("status") or {}).get("conditions"), "Ready")
    return condition is not None and condition["status"] == "True"


async def _running(client: RestClient) -> bool:
    body: Body = await client.get("pods", "default", "app")
    return bool(body.get("status", {}).get("phase") == "Running")


async def _start(client: RestClient, sign: Path) -> float:
    """Bind a pod whose process makes the file ``sign``; returns how long that took, seconds."""
    body = pod(sign.name, NODE, [])
    body["spec"]["containers"][0]["command"] = ["sh", "-c", f"echo > {sign}; exec sleep 1000000"]
    began = time.time()
    await client.create("pods", body)
    while (made_at := _made_at(sign)) is None:  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # until its status is up
    return made_at - began


def _made_at(sign: Path) -> float | None:
    try:
        return sign.stat().st_mtime
    except FileNotFoundError:
        return None


async def _gone(client: RestClient) -> bool:
    return not await client.list("pods", "default")


def _descendants(edge: Edge) -> list[psutil.Process]:
    """Return the processes that belong to the agent's folder: supervisors are not its children for long."""
    folder = str(edge.data_dir)
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if folder in " ".join(process.info["cmdline"] or ()) and process.pid != edge.daemon.pid:
            found.append(process)
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), 10.0 if options.quick else options.idle_seconds)
        uvloop.run(bench.run())
    report("footprint", "The daemons at rest, and bytes on the wire (TCP payload: TLS records and all)", bench.rows)


if __name__ == "__main__":
    main()
