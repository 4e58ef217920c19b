"""Acked items a second over the link, against raw websockets + msgpack in the same run.

Two processes over loopback, without TLS: one sends 1 KiB bodies, the other takes them into memory and acknowledges.
Both ways carry the same fields. Raw is the library's own asyncio connection; it sends batches of 64, four of them in
flight, and unpacks each; it has no outbox, no coalescing, no redelivery, no verdicts. ``zstd`` shows what compression
costs on a link that does not need it; its payloads shrink to about a sixth. ``cpu`` is what both processes spend on an
item, start-up left out: unlike a rate, it says little about who else used the machine. Both processes, raw included,
have the interpreter tuned as the cloud daemon's is.

Usage: ``python -m benchmarks.link [--seconds 0.4] [--rounds 3] [--sessions 1 10 100]``
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random
from statistics import median
from typing import Any

import msgpack
import uvloop
import websockets.asyncio.client
import websockets.asyncio.server
from websockets.asyncio.connection import Connection as LibraryConnection
from websockets.exceptions import ConnectionClosed as LibraryClosed

from benchmarks.children import cpu_s
from benchmarks.harness import report
from cloudcore.daemon import tune_interpreter
from protocol.compression import Codec
from protocol.driver import LinkDriver
from protocol.errors import ConnectionClosed
from protocol.events import Closed, Event, HelloReceived, Received, Settled
from protocol.frames import MAX_FRAME_BYTES
from protocol.link import Link, Side
from protocol.messages import Hello, Item, Op, Welcome
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid
from protocol.settings import LinkSettings
from protocol.transports.websocket import WebSocketConnection, connect, serve

BODY_BYTES = 1024
RAW_BATCH = 64
RAW_IN_FLIGHT = 4
BACKLOG = 512  # items kept in an outbox
OBJECTS = 512

Session = Callable[[Any, "Meter"], Awaitable[None]]
PLAIN: dict[str, Any] = {"compression": None, "ping_interval": None, "max_size": MAX_FRAME_BYTES}


class Meter:
    """Counts what has been acknowledged."""

    def __init__(self) -> None:
        self.acked = 0


def items() -> list[Item]:
    """Return objects with bodies that compress about as well as manifests do."""
    rng = Random(1)
    made = []
    for index in range(OBJECTS):
        body = rng.randbytes(BODY_BYTES // 6).hex().encode()
        body += b"containers: name image resources limits requests cpu memory env value " * BODY_BYTES
        key = ObjectKey("configmaps", "default", f"settings-of-application-{index}")
        uid = Uid(f"6f1b5f0e-8d3c-4a52-9e57-{index:012d}")
        made.append(Item(Op.PUT, key, uid, Revision(100_000 + index), body[:BODY_BYTES]))
    return made


ITEMS = items()


async def drive(link: Link, connection: WebSocketConnection, handle: Callable[[Event], None]) -> None:
    """Drive one link over one connection, as the daemons' sessions do."""
    driver = LinkDriver(link, connection, handle, clock=asyncio.get_running_loop().time)
    async with asyncio.TaskGroup() as tasks:
        await driver.run(tasks, "link")


def link_source(settings: LinkSettings) -> Session:
    async def run(connection: WebSocketConnection, meter: Meter) -> None:
        time = asyncio.get_running_loop().time
        link = Link(Side.CLOUD, settings, Random(1), now=time())
        supply = cycle(ITEMS)

        def handle(event: Event) -> None:
            now = time()
            if isinstance(event, Closed):
                return
            if isinstance(event, HelloReceived):
                link.welcome(Welcome(1, "bench"), now)
                wanted = BACKLOG
            elif isinstance(event, Settled):
                meter.acked += len(event.items)
                wanted = len(event.items)
            else:
                raise AssertionError(event)
            for item in islice(supply, wanted):
                link.send(item, now)

        await drive(link, connection, handle)

    return run


def link_sink(settings: LinkSettings) -> Session:
    async def run(connection: WebSocketConnection, meter: Meter) -> None:
        time = asyncio.get_running_loop().time
        link = Link(Side.EDGE, settings, Random(1), now=time())
        link.start(Hello(NodeName("edge"), "instance"), time())
        held: dict[ObjectKey, bytes] = {}

        def handle(event: Event) -> None:
            if isinstance(event, Received):
                for item in event.items:
                    held[item.key] = item.body
                link.settle(event.batch, None, time())

        await drive(link, connection, handle)

    return run


async def raw_source(connection: LibraryConnection, meter: Meter) -> None:
    rows = [(int(item.op), *item.key, item.uid, item.version, item.body) for item in ITEMS]
    batches = [rows[start : start + RAW_BATCH] for start in range(0, len(rows), RAW_BATCH)]
    supply = enumerate(cycle(batches))
    for number, batch in islice(supply, RAW_IN_FLIGHT):
        await connection.send(msgpack.packb((number, batch)))
    for number, batch in supply:
        msgpack.unpackb(await connection.recv())
        meter.acked += RAW_BATCH
        await connection.send(msgpack.packb((number, batch)))


async def raw_sink(connection: LibraryConnection, meter: Meter) -> None:
    held: dict[tuple[str, str, str], bytes] = {}
    while True:
        number, batch = msgpack.unpackb(await connection.recv(), use_list=False)
        for _, resource, namespace, name, _, _, body in batch:
            held[resource, namespace, name] = body
        await connection.send(msgpack.packb(number))


NONE = LinkSettings(codec=Codec.NONE)
ZSTD = LinkSettings()
SOURCES: dict[str, Session] = {"raw": raw_source, "link": link_source(NONE), "link, zstd": link_source(ZSTD)}
SINKS: dict[str, Session] = {"raw": raw_sink, "link": link_sink(NONE), "link, zstd": link_sink(ZSTD)}


async def sink(kind: str, port: int, sessions: int) -> None:
    """Child process: open ``sessions`` connections and take whatever comes until they close."""

    async def one() -> None:
        uri = f"ws://127.0.0.1:{port}"
        connection = await (websockets.asyncio.client.connect(uri, **PLAIN) if kind == "raw" else connect(uri))
        try:
            await SINKS[kind](connection, Meter())
        except (ConnectionClosed, LibraryClosed):
            return

    async with asyncio.TaskGroup() as group:
        for index in range(sessions):
            group.create_task(one(), name=f"session-{index}")


@dataclass(frozen=True, slots=True)
class Rate:
    """One measurement.

    Attributes:
        items_s: Acked items a second.
        cpu_us: Processor time of both processes an item, microseconds.
    """

    items_s: float
    cpu_us: float


async def measure(kind: str, sessions: int, seconds: float) -> Rate:
    """Send for ``seconds``."""
    meter = Meter()
    connected = 0
    ready = asyncio.Event()

    async def handle(connection: WebSocketConnection | LibraryConnection) -> None:
        nonlocal connected
        connected += 1
        if connected == sessions:
            ready.set()
        await ready.wait()  # handshakes first: those that came early would slow the others down
        try:
            await SOURCES[kind](connection, meter)
        except (ConnectionClosed, LibraryClosed):
            return

    plain = websockets.asyncio.server.serve
    server = await (plain(handle, "127.0.0.1", 0, **PLAIN) if kind == "raw" else serve(handle))
    port = next(iter(server.sockets)).getsockname()[1]
    arguments = [sys.executable, "-m", "benchmarks.link", "--sink", kind, "--port", str(port), "--count", str(sessions)]
    child = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.DEVNULL)
    try:
        await asyncio.wait_for(ready.wait(), 20)
        await asyncio.sleep(seconds / 4)
        before, started, used = meter.acked, time.perf_counter(), cpu_s(os.getpid()) + cpu_s(child.pid)
        await asyncio.sleep(seconds)
        acked, spent_s = meter.acked - before, cpu_s(os.getpid()) + cpu_s(child.pid) - used
        return Rate(acked / (time.perf_counter() - started), spent_s / max(1, acked) * 1e6)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
        server.close()
        await server.wait_closed()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=0.4, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements, of which the median counts")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--sink", choices=list(SINKS), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    tune_interpreter()
    if options.sink:
        uvloop.run(sink(options.sink, options.port, options.count))
        os._exit(0)
    rows = []
    for sessions in options.sessions:
        # Rounds alternate between the kinds, so that a busy moment of the machine does not fall on one of them.
        rounds = [
            {kind: uvloop.run(measure(kind, sessions, options.seconds)) for kind in SOURCES}
            for _ in range(options.rounds)
        ]
        rates = {kind: median(one[kind].items_s for one in rounds) for kind in SOURCES}
        cpu = {kind: median(one[kind].cpu_us for one in rounds) for kind in SOURCES}
        for kind, rate in rates.items():
            row: dict[str, str | int | float] = {"what": kind, "sessions": sessions, "acked items/s": int(rate)}
            rows.append({**row, "of raw": rate / rates["raw"], "cpu µs": cpu[kind]})
    report("link", f"Link throughput, {BODY_BYTES} B bodies, two processes", rows)


if __name__ == "__main__":
    main()
