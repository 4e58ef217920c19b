"""What a connected node costs the cloud: resident memory with a slice of ten objects, and processor time at rest.

The cloud starts with all nodes and objects in its store; then the nodes connect, TLS and all, in steps. What a node's
objects cost is the difference to a cloud with an empty store.

Usage: ``python -m benchmarks.memory [--nodes 1000] [--idle-seconds 30] [--quick]``
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

import uvloop

from benchmarks.children import cpu_share, raise_file_limit, resident_bytes
from benchmarks.harness import Row, report
from benchmarks.stage import stage

OWN_OBJECTS = 7  # with its Node, its Pod and the default ServiceAccount: a slice of ten
SETTLE_S = 3.0
"""Start-up's own work (lists, caches, the first reconciles) is over by then."""


async def empty(folder: Path) -> int:
    """Return what a cloud without nodes has resident."""
    async with stage(folder, 0, plain=True) as here:
        await asyncio.sleep(SETTLE_S)
        return resident_bytes(here.cloud.pid)


async def measure(nodes: int, idle_s: float) -> list[Row]:
    """Connect the nodes in two steps, then let them be."""
    with tempfile.TemporaryDirectory() as folder:
        without = await empty(Path(folder) / "empty")
        async with stage(Path(folder) / "full", nodes, own_objects=OWN_OBJECTS, plain=True) as here:
            await asyncio.sleep(SETTLE_S)
            stored = resident_bytes(here.cloud.pid)
            before = await cpu_share(here.cloud.pid, idle_s / 4)
            await here.fleet.ask("make", first=0, count=nodes)
            refused = int((await here.fleet.ask("connect", lanes=64))["refused"])
            await here.cloud.ask("await_ready", count=nodes)
            await asyncio.sleep(SETTLE_S)
            connected = resident_bytes(here.cloud.pid)
            share = await cpu_share(here.cloud.pid, idle_s)
            later = resident_bytes(here.cloud.pid)
    peer_bytes = 0.23 * (1 << 20)
    total = (later - without) / nodes
    return [
        row("empty cloud, resident", without / 1e6, "MB", "-", "-"),
        row("a node's ten objects, stored", (stored - without) / nodes / 1e3, "KB", "-", "-"),
        row("a node connected over TLS", (connected - stored) / nodes / 1e3, "KB", "-", "-"),
        row("a node in all, after a while of heartbeats", total / 1e3, "KB", "241", "80", total / peer_bytes),
        row("connections turned away on the way, and made again", refused, "", "-", "-"),
        row("processor at rest, no node connected", before * 100, "% of a core", "-", "-"),
        row(f"processor at rest, {nodes:,} nodes", share * 100, "% of a core", "43", "5", share / 0.43),
    ]


def row(what: str, measured: float, unit: str, peer: str, aim: str, ratio: float | str = "-") -> Row:
    """Return one line of the table."""
    return {"what": what, "measured": measured, "unit": unit, "peer": peer, "of peer": ratio, "aim": aim}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--idle-seconds", type=float, default=30.0)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    raise_file_limit()
    nodes, idle_s = (200, 8.0) if options.quick else (options.nodes, options.idle_seconds)
    rows = uvloop.run(measure(nodes, idle_s))
    report("memory", f"The cloud with {nodes:,} nodes over TLS, each with a slice of ten objects", rows)


if __name__ == "__main__":
    main()
