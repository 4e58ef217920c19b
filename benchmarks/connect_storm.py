"""A fleet comes back at once: 1,000 nodes connect and become Ready; 2,000 resume what they hold already.

The raw limit, in the same run: as many connections to a server that does nothing but take the same TLS handshake
(client certificates required) on the same event loop, from the same fleet's contexts.

Usage: ``python -m benchmarks.connect_storm [--rounds 3] [--quick]``
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import tempfile
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.children import Child, cpu_s, raise_file_limit
from benchmarks.harness import Row, report
from benchmarks.stage import Stage, stage

LANES = 256
BACKLOG = 4096
DEAD_EVERY = 100
"""One link in so many dies while the others resume."""


def raw_server_tls(folder: Path) -> ssl.SSLContext:
    """Return a context like the hub's, with its certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "pki" / "server.crt", folder / "pki" / "server.key")
    tls.load_verify_locations(folder / "pki" / "ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.num_tickets = 0
    return tls


class RawServer:
    """Takes TLS handshakes and sends one byte, so that a client knows that its certificate was good."""

    def __init__(self, folder: Path) -> None:
        self._tls = raw_server_tls(folder)

    async def serve(self) -> None:
        """Listen, print the port, and serve until killed."""
        server = await asyncio.start_server(self._greet, "127.0.0.1", 0, ssl=self._tls, backlog=BACKLOG)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    @staticmethod
    async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\n")


async def raw_accepts(here: Stage, rounds: int) -> float:
    """Return the median time in which the raw server takes the whole fleet's handshakes, seconds."""
    process = await asyncio.create_subprocess_exec(
        *Child.command("benchmarks.connect_storm", "--raw", str(here.folder)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        took_s = [float(await here.fleet.ask("raw_connect", port=port, lanes=LANES)) for _ in range(rounds)]
        return median(took_s)
    finally:
        process.kill()
        await process.wait()


async def first_connect(folder: Path, nodes: int) -> tuple[float, float]:
    """Connect nodes that the cloud has never heard of; return seconds until all are Ready, and the cloud's CPU."""
    async with stage(folder, nodes, plain=True) as here:
        await here.fleet.ask("make", first=0, count=nodes)
        used = cpu_s(here.cloud.pid)
        began = await here.fleet.ask("connect", lanes=LANES, heartbeat_s=0)
        ready = await here.cloud.ask("await_ready", count=nodes)
        return ready - began["started"], cpu_s(here.cloud.pid) - used


async def resumes(folder: Path, nodes: int, rounds: int) -> list[Row]:
    """Have nodes that are in step come back; beside it, the raw handshakes."""
    async with stage(folder, nodes, plain=True) as here:
        await here.fleet.ask("make", first=0, count=nodes)
        await here.fleet.ask("connect", lanes=LANES, heartbeat_s=0)
        took, spent, p99, p99_among_dead = [], [], [], []
        for _ in range(rounds):
            await _part(here)
            used = cpu_s(here.cloud.pid)
            began = await here.fleet.ask("resume", lanes=LANES)
            took.append(began["ended"] - began["started"])
            p99.append(began["p99_ms"])
            spent.append((cpu_s(here.cloud.pid) - used) / nodes * 1e6)
            await _part(here)
            p99_among_dead.append((await here.fleet.ask("resume", lanes=LANES, dead_every=DEAD_EVERY))["p99_ms"])
        await here.fleet.ask("disconnect")
        raw = await raw_accepts(here, rounds)
    took_s, usual, among_dead = median(took), median(p99) / 1e3, median(p99_among_dead) / 1e3
    healthy = nodes - nodes // DEAD_EVERY
    return [
        row(f"{nodes:,} raw TLS handshakes, client certificates", raw, nodes, "-", "-", ratio=1.0),
        row(f"{nodes:,} nodes resume in step", took_s, nodes, "-", "2 x raw", median(spent), took_s / raw),
        row("  one of them, p99", usual, 1, "-", "-"),
        row(f"  one of {healthy:,}, p99, 1 % dead", among_dead, 1, "-", "1.5 x that", ratio=among_dead / usual),
    ]


async def _part(here: Stage) -> None:
    """Have everybody hang up, and wait until the cloud has noticed."""
    await here.cloud.ask("drained")
    await here.fleet.ask("disconnect")
    await here.cloud.ask("emptied")


def row(
    what: str, took_s: float, nodes: int, peer: str, aim: str, cloud_us: float = 0.0, ratio: float | str = "-"
) -> Row:
    """Return one line of the table."""
    return {
        "what": what,
        "seconds": took_s,
        "per second": int(nodes / took_s),
        "peer s": peer,
        "aim s": aim,
        "of raw": ratio,
        "cloud µs": cloud_us,
    }


async def measure(nodes: int, resuming: int, rounds: int) -> list[Row]:
    """Run both, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        firsts = []
        for number in range(rounds):
            firsts.append(await first_connect(Path(folder) / f"first-{number}", nodes))
        took_s, cpu = (median(values) for values in zip(*firsts, strict=True))
        first = row(f"{nodes:,} nodes connect, register, Ready", took_s, nodes, "20.6", "3", cpu / nodes * 1e6)
        return [first, *await resumes(Path(folder) / "resume", resuming, rounds)]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--resuming", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    raise_file_limit()
    if options.raw:
        uvloop.run(RawServer(options.raw).serve())
        return
    if options.quick:
        options.nodes, options.resuming, options.rounds = 200, 400, 1
    rows = uvloop.run(measure(options.nodes, options.resuming, options.rounds))
    report("connect-storm", "A fleet connects at once, over mutual TLS", rows)


if __name__ == "__main__":
    main()
