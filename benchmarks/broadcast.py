"""One ConfigMap that every node holds, to all of them, against a raw broadcast to as many connections in the same run.

Both over mutual TLS, with the nodes' certificates, from one process to the fleet's. Raw is the websockets library and
nothing else: it broadcasts the item's bytes and is done when each connection has answered with as many bytes as an ack
has. Ours begins with a write into the store, disk and all, and is done when the cloud owes nothing to any node.

Usage: ``python -m benchmarks.broadcast [--nodes 2000] [--rounds 9] [--quick]``
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.children import Child, answer, cpu_s, raise_file_limit
from benchmarks.connect_storm import raw_server_tls
from benchmarks.harness import Row, report
from benchmarks.stage import Stage, stage
from benchmarks.world import SHARED

LANES = 64
ITEM_BYTES = 393
"""What one such ConfigMap of 256 B is on the wire (``footprint`` measures it)."""


class RawBroadcaster:
    """The commands of the raw server.

    Args:
        folder: Where the world's certificates are.
    """

    def __init__(self, folder: Path) -> None:
        self._tls = raw_server_tls(folder)
        self._connections: set[ServerConnection] = set()
        self._missing = 0
        self._complete = asyncio.Event()

    async def listen(self) -> int:
        """Listen and return the port."""
        server = await serve(
            self._collect, "127.0.0.1", 0, ssl=self._tls, compression=None, ping_interval=None, backlog=4096
        )
        self._server = server
        return int(next(iter(server.sockets)).getsockname()[1])

    async def _collect(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        async for _ in connection:
            self._missing -= 1
            if not self._missing:
                self._complete.set()

    async def broadcast(self, count: int) -> float:
        """Send to all ``count`` connections; return how long it took until each had answered, seconds."""
        assert len(self._connections) == count
        self._missing = count
        self._complete.clear()
        started = time.monotonic()
        broadcast(self._connections, bytes(ITEM_BYTES))
        await self._complete.wait()
        return time.monotonic() - started


async def raw(here: Stage, nodes: int, rounds: int) -> tuple[float, float]:
    """Return the median seconds of a raw broadcast, and the server's processor time of one connection's part."""
    log = here.folder / "raw.log"
    server = await Child.start("benchmarks.broadcast", "--raw", str(here.folder), log=log)
    try:
        await here.fleet.ask("raw_echo", port=await server.ask("listen"), lanes=LANES)
        await server.ask("broadcast", count=nodes)
        used = cpu_s(server.pid)
        took = [float(await server.ask("broadcast", count=nodes)) for _ in range(rounds)]
        return median(took), (cpu_s(server.pid) - used) / rounds / nodes
    finally:
        await here.fleet.ask("raw_hang_up")
        await server.stop()


async def ours(here: Stage, nodes: int, rounds: int) -> tuple[float, float]:
    """Return the same of the cloud, from the write to the last ack."""
    await here.fleet.ask("make", first=0, count=nodes)
    await here.fleet.ask("connect", lanes=LANES)
    await here.cloud.ask("await_ready", count=nodes)
    await here.cloud.ask("write", names=[SHARED])
    await here.cloud.ask("drained")
    used, took = cpu_s(here.cloud.pid), []
    for _ in range(rounds):
        wrote = await here.cloud.ask("write", names=[SHARED])
        took.append(await here.cloud.ask("drained") - wrote["started"])
    return median(took), (cpu_s(here.cloud.pid) - used) / rounds / nodes


async def measure(nodes: int, rounds: int) -> list[Row]:
    """Run raw, ours, and raw again: what the machine does meanwhile changes."""
    with tempfile.TemporaryDirectory() as folder:
        async with stage(Path(folder), nodes) as here:
            await here.fleet.ask("make", first=0, count=nodes)
            before, raw_cpu = await raw(here, nodes, rounds)
            await here.fleet.ask("unmake")
            took, cpu = await ours(here, nodes, rounds)
            after, _ = await raw(here, nodes, rounds)
    bar = (before + after) / 2
    return [
        row("raw broadcast, all answered", bar, "-", 1.0, raw_cpu),
        row("one ConfigMap, written to the store to all acked", took, "2", took / bar, cpu),
    ]


def row(what: str, took_s: float, aim: str, of_raw: float, cpu: float) -> Row:
    """Return one line of the table."""
    return {"what": what, "ms": took_s * 1e3, "of raw": of_raw, "aim": aim, "server µs a node": cpu * 1e6}


async def run_raw(folder: Path) -> None:
    """Child process: broadcast when asked."""
    server = RawBroadcaster(folder)
    await answer({"listen": server.listen, "broadcast": server.broadcast})


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    raise_file_limit()
    if options.raw:
        uvloop.run(run_raw(options.raw))
        return
    nodes, rounds = (200, 3) if options.quick else (options.nodes, options.rounds)
    rows = uvloop.run(measure(nodes, rounds))
    report("broadcast", f"One ConfigMap to {nodes:,} nodes, over mutual TLS", rows)


if __name__ == "__main__":
    main()
