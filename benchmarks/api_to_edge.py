"""From a write to the edge, with 1,000 nodes connected over TLS: rates, latencies, fan-out, and statuses back up.

Processes: the cloud (its store on disk), the fleet of simulated edges, and this one, whose keep-alive clients write
over HTTPS. All clocks are the host's monotonic one. An arrival is counted when the edge holds the object: in memory on
a light edge, on disk on a durable one, which is the agent's own session and meta store on SQLite. "Acked" is when the
cloud owes nothing any more.

Usage: ``python -m benchmarks.api_to_edge [--nodes 1000] [--rounds 5] [--quick]``
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.children import cpu_s, raise_file_limit
from benchmarks.harness import Row, percentile, report
from benchmarks.httpclient import Client, open_clients
from benchmarks.stage import Stage, stage
from benchmarks.store import raw_sqlite
from benchmarks.world import DISTINCT, MESH_NODES, SETTINGS_EACH, SHARED, config_map, settings_name

CLIENTS = 8
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/mesh/services"
BATCH_WRITERS = 256
IDLE_WRITES = 300
IDLE_GAP_S = 0.01
LOADED_WRITES_PER_S = 1_000

Write = Callable[[Client, int], Awaitable[None]]


async def spread(clients: Iterable[Client], count: int, write: Write) -> None:
    """Have the clients make ``count`` writes between them, each beginning its next when its last is answered."""
    numbers = iter(range(count))

    async def lane(client: Client) -> None:
        for number in numbers:
            await write(client, number)

    async with asyncio.TaskGroup() as group:
        for index, client in enumerate(clients):
            group.create_task(lane(client), name=f"client-{index}")


def put(base: str, name: str) -> Write:
    """Return a write of one ConfigMap that exists, by whichever client."""

    async def write(client: Client, _: int) -> None:
        await client.send("PUT", f"{base}/{name}", config_map(name, time.monotonic_ns()))

    return write


async def put_settings(client: Client, number: int) -> None:
    """Replace the ConfigMap of one node."""
    name = settings_name(number)
    await client.send("PUT", f"{CONFIG_MAPS}/{name}", config_map(name, time.monotonic_ns()))


async def post_settings(client: Client, number: int) -> None:
    """Create the ConfigMap of one node."""
    await client.send("POST", CONFIG_MAPS, config_map(settings_name(number), time.monotonic_ns()))


def service(number: int, port: int) -> dict[str, object]:
    """Return a Service of the namespace ``mesh``."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"service-{number:04d}", "namespace": "mesh"},
        "spec": {"clusterIP": "None", "selector": {"app": f"app-{number}"}, "ports": [{"port": port}]},
    }


class Bench:
    """The measurements on one stage.

    Args:
        stage: The processes.
        clients: HTTP connections.
        nodes: How many are connected.
        rounds: Measurements, of which the median counts.
    """

    def __init__(self, stage: Stage, clients: list[Client], nodes: int, rounds: int) -> None:
        self._stage = stage
        self._clients = clients
        self._nodes = nodes
        self._rounds = rounds
        self.rows: list[Row] = []

    def add(self, what: str, value: float, unit: str, peer: str, aim: str, cpu: float = 0.0) -> None:
        """Note a result; ``cpu`` is what the cloud spent, µs a piece."""
        self.rows.append({"what": what, "measured": value, "unit": unit, "peer": peer, "aim": aim, "cloud µs": cpu})

    async def http_burst(self) -> None:
        """One ConfigMap a node over HTTP: created, then replaced, round after round."""
        rates, p50, p99, cpu = [], [], [], []
        for number in range(self._rounds + 1):
            write = put_settings if number else post_settings
            rate, latencies, spent = await self._round(partial(spread, self._clients, self._nodes, write))
            if number:
                rates.append(rate)
                p50.append(percentile(latencies, 50))
                p99.append(percentile(latencies, 99))
                cpu.append(spent)
        self.add("HTTP write to acked at its edge, 8 clients", median(rates), "/s", "282", "3,000", median(cpu))
        self.add("  latency at that load, p50", median(p50), "ms", "13", "-")
        self.add("  latency at that load, p99", median(p99), "ms", "166", "-")

    async def durable_burst(self) -> None:
        """One ConfigMap a node over HTTP, where every edge writes to disk."""
        results = [await self._round(partial(spread, self._clients, self._nodes, put_settings)) for _ in range(15)]
        rate, spent = median(each[0] for each in results), median(each[2] for each in results)
        self.add(f"HTTP write to on disk at its edge and acked, {self._nodes} edges", rate, "/s", "-", "3,000", spent)

    async def _round(
        self, act: Callable[[], Awaitable[None]], count: int | None = None
    ) -> tuple[float, list[float], float]:
        fleet, cloud, count = self._stage.fleet, self._stage.cloud, count or self._nodes
        await fleet.ask("expect", count=count)
        used, started = cpu_s(cloud.pid), time.monotonic()
        await act()
        await fleet.ask("arrived")
        ended = await cloud.ask("drained")
        spent = (cpu_s(cloud.pid) - used) / count * 1e6
        return count / (ended - started), await fleet.ask("latencies_ms"), spent

    async def store_burst(self, each: int) -> None:
        """The same, written straight into the store, in the cloud's own process; ``each`` objects a node."""
        names = [settings_name(number, which) for which in range(each) for number in range(self._nodes)]

        async def act() -> None:
            await self._stage.cloud.ask("write", names=names, writers=BATCH_WRITERS)

        # In the first round the objects that are not there yet are made; it does not count.
        results = [await self._round(act, len(names)) for _ in range(self._rounds + 1)][1:]
        rate, spent = median(one[0] for one in results), median(one[2] for one in results)
        self.add(f"written into the store to acked at its edge, {each} a node", rate, "/s", "-", "15,000", spent)

    async def fan_out(self) -> None:
        """One object to every node."""
        edges, acks = [], []
        for number in range(self._rounds + 1):
            await self._stage.fleet.ask("expect", count=self._nodes, keep=False)
            started = time.monotonic()
            method, path = ("PUT", f"{CONFIG_MAPS}/{SHARED}") if number else ("POST", CONFIG_MAPS)
            await self._clients[0].send(method, path, config_map(SHARED, time.monotonic_ns()))
            last = (await self._stage.fleet.ask("arrived") - started) * 1e3
            acked = (await self._stage.cloud.ask("drained") - started) * 1e3
            if not number:
                self.add("one object to all nodes, the first time: last ack", acked, "ms", "13,500", "150")
            else:
                edges.append(last)
                acks.append(acked)
        self.add("one object to all nodes: last node holds it", median(edges), "ms", "136", "150")
        self.add("one object to all nodes: last ack", median(acks), "ms", "3,000 to 5,000", "150")

    async def statuses(self) -> None:
        """Every node's status up, written and settled."""
        used = cpu_s(self._stage.cloud.pid)
        took = [await self._stage.fleet.ask("statuses") for _ in range(self._rounds)]
        spent = (cpu_s(self._stage.cloud.pid) - used) / self._rounds / self._nodes * 1e6
        self.add("node statuses absorbed", self._nodes / median(took), "/s", "213", "10,000", spent)

    async def idle_latency(self, nodes: int, what: str, peer: tuple[str, str], aim: tuple[str, str]) -> None:
        """One write at a time, unloaded."""
        await self._stage.fleet.ask("expect", count=IDLE_WRITES)
        for number in range(IDLE_WRITES):
            await put_settings(self._clients[0], number % nodes)
            await asyncio.sleep(IDLE_GAP_S)
        await self._stage.fleet.ask("arrived")
        latencies = await self._stage.fleet.ask("latencies_ms")
        for share, theirs, wanted in zip((50, 99), peer, aim, strict=True):
            self.add(f"{what}, p{share}", percentile(latencies, share), "ms", theirs, wanted)

    async def loaded_latency(self, seconds: float) -> None:
        """Writes at a steady rate, whatever comes of them."""
        count = int(LOADED_WRITES_PER_S * seconds)
        await self._stage.fleet.ask("expect", count=count)
        begin = time.monotonic()

        async def paced(client: Client, number: int) -> None:
            await asyncio.sleep(max(0.0, begin + number / LOADED_WRITES_PER_S - time.monotonic()))
            await put_settings(client, number % self._nodes)

        await spread(self._clients, count, paced)
        # A newer version may overtake an older one in the outbox, so not every write need arrive.
        await asyncio.sleep(1.0)
        latencies = await self._stage.fleet.ask("latencies_ms")
        took = f"{LOADED_WRITES_PER_S:,} writes/s asked for"
        self.add(f"{took}, p50", percentile(latencies, 50), "ms", "0.1 at 100/s", "-")
        self.add(f"{took}, p99", percentile(latencies, 99), "ms", "272 at 100/s", "-")

    async def distinct(self) -> None:
        """Many objects to one durable node."""
        names = [f"distinct-{number:05d}" for number in range(DISTINCT)]
        rates = []
        for _ in range(max(3, self._rounds)):
            await self._stage.fleet.ask("expect", count=DISTINCT, keep=False)
            wrote = await self._stage.cloud.ask("write", names=names, namespace="distinct", writers=BATCH_WRITERS)
            rates.append(DISTINCT / (await self._stage.fleet.ask("arrived") - wrote["started"]))
        self.add("one node, distinct objects, on disk at both ends", median(rates), "/s", "41", "5,000")

    async def service_edits(self, count: int) -> None:
        """Edits of Services that 40 nodes hold, heartbeats going on."""
        fleet, cloud = self._stage.fleet, self._stage.cloud

        async def create(client: Client, number: int) -> None:
            await client.send("POST", SERVICES, service(number, 80))

        async def edit(client: Client, number: int) -> None:
            await client.send("PUT", f"{SERVICES}/service-{number:04d}", service(number, 8080))

        await fleet.ask("expect", count=count * MESH_NODES, keep=False)
        await spread(self._clients, count, create)
        await fleet.ask("arrived")
        lost = await cloud.ask("lost")
        await fleet.ask("expect", count=count * MESH_NODES, keep=False)
        started = time.monotonic()
        await spread(self._clients, count, edit)
        await fleet.ask("arrived")
        took = await cloud.ask("drained") - started
        self.add(f"{MESH_NODES} nodes, {count:,} Service edits: last ack", took, "s", "400", "3")
        self.add("  nodes that ceased to be Ready meanwhile", await cloud.ask("lost") - lost, "", "flapping", "0")


async def light_stage(folder: Path, nodes: int, rounds: int, *, quick: bool) -> list[Row]:
    """Measure with a thousand light edges."""
    async with stage(folder, nodes) as here:
        await here.fleet.ask("make", first=0, count=nodes)
        await here.fleet.ask("connect")
        clients = await open_clients(here.kubeconfig, CLIENTS)
        bench = Bench(here, clients, nodes, rounds)
        await bench.http_burst()
        await bench.store_burst(1)
        await bench.store_burst(SETTINGS_EACH)
        await bench.loaded_latency(1.0 if quick else 5.0)
        await bench.fan_out()
        await bench.statuses()
        await bench.service_edits(200 if quick else 2_000)
        for client in clients:
            client.close()
    return bench.rows


async def durable_stage(folder: Path, nodes: int, rounds: int) -> list[Row]:
    """Measure with edges that commit to their own disk."""
    async with stage(folder, nodes) as here:
        await here.fleet.ask("make", first=0, count=nodes, durable=True)
        await here.fleet.ask("connect")
        clients = await open_clients(here.kubeconfig, CLIENTS)
        await spread(clients, nodes, post_settings)
        bench = Bench(here, clients, nodes, rounds)
        await bench.idle_latency(nodes, "unloaded, disk at both ends", ("0.1", "3.5"), ("3", "10"))
        await bench.distinct()
        await bench.durable_burst()
        for client in clients:
            client.close()
    return bench.rows


async def measure(nodes: int, durable: int, rounds: int, *, quick: bool) -> list[Row]:
    """Run both stages, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        raw = raw_sqlite(Path(folder), 1, 1.0)
        limit: Row = {
            "what": "raw SQLite on this disk, single commits",
            "measured": raw,
            "unit": "/s",
            "peer": "-",
            "aim": "-",
            "cloud µs": 0.0,
        }
        rows = await light_stage(Path(folder) / "light", nodes, rounds, quick=quick)
        return [limit, *rows, *await durable_stage(Path(folder) / "durable", durable, rounds)]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--durable", type=int, default=100, help="edges in the stage whose edges write to disk")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    raise_file_limit()
    nodes, rounds = (200, 2) if options.quick else (options.nodes, options.rounds)
    rows = uvloop.run(measure(nodes, min(nodes, options.durable), rounds, quick=options.quick))
    report("api-to-edge", f"From a write to the edge over TLS, {nodes:,} nodes (peer: KubeEdge's figure)", rows)


if __name__ == "__main__":
    main()
