"""The API server's rate of creates, GETs and PUTs over TLS, beside an echo on raw aiohttp in the same run.

The server runs in this process, the clients (8 connections, one request under way on each) in another, with uvloop
in both. The clients speak HTTP/1.1 by hand: on two cores a heavier client would measure itself.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from aiohttp import web

from benchmarks.harness import Row, report
from benchmarks.httpclient import Client
from tests.support.apiservers import serving

CONNECTIONS = 8
PADDING = "x" * 200
COLLECTION = "/api/v1/namespaces/default/configmaps"


def body_of(name: str, round_: int) -> bytes:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"value": str(round_), "padding": PADDING},
    }
    return json.dumps(body).encode()


async def timed(clients: list[Client], one: Callable[[Client, int, int], Awaitable[None]], seconds: float) -> float:
    """Run ``one(client, lane, round)`` on each client for a while; return the rate per second."""
    deadline = time.perf_counter() + seconds
    done = [0] * len(clients)

    async def lane(number: int, client: Client) -> None:
        while time.perf_counter() < deadline:
            await one(client, number, done[number])
            done[number] += 1

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            group.create_task(lane(number, client), name=f"lane-{number}")
    return sum(done) / (time.perf_counter() - started)


async def expect(client: Client, status: int, method: str, path: str, body: bytes = b"") -> None:
    got = await client.request(method, path, body)
    if got != status:
        raise SystemExit(f"{method} {path}: {got}")


async def load(folder: Path, port: int, echo_port: int, seconds: float) -> None:
    """Run the phases; print each one's rate on a line of its own."""
    tls = ssl.create_default_context(cafile=folder / "ca.crt")
    tls.load_cert_chain(folder / "client.crt", folder / "client.key")

    async def connect(to: int) -> list[Client]:
        pairs = [await asyncio.open_connection("127.0.0.1", to, ssl=tls) for _ in range(CONNECTIONS)]
        return [Client(*pair) for pair in pairs]

    echoes, clients = await connect(echo_port), await connect(port)

    async def echo(client: Client, lane: int, turn: int) -> None:
        await expect(client, 200, "POST", "/", body_of(f"a-{lane}", turn))

    async def create(client: Client, lane: int, turn: int) -> None:
        await expect(client, 201, "POST", COLLECTION, body_of(f"a-{lane}-{turn}", turn))

    async def get(client: Client, lane: int, turn: int) -> None:
        del turn
        await expect(client, 200, "GET", f"{COLLECTION}/a-{lane}-0")

    async def put(client: Client, lane: int, turn: int) -> None:
        await expect(client, 200, "PUT", f"{COLLECTION}/a-{lane}-0", body_of(f"a-{lane}-0", turn + 1))

    for what, lanes, one in (
        ("echo", echoes, echo),
        ("create", clients, create),
        ("get", clients, get),
        ("put", clients, put),
    ):
        print(json.dumps([what, await timed(lanes, one, seconds)]), flush=True)


async def echo_handler(request: web.BaseRequest) -> web.Response:
    return web.Response(body=await request.read(), content_type="application/json")


async def measure(folder: Path, seconds: float) -> list[Row]:
    """Serve while the load runs; read this process's CPU time at the end of each phase."""
    async with serving(folder) as server:
        (folder / "ca.crt").write_bytes(server.ca.certificate_pem)
        server.tls()
        runner = web.ServerRunner(web.Server(echo_handler))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=echo_tls(folder)).start()
        given = [str(folder), str(server.server.address[1]), str(runner.addresses[0][1]), str(seconds)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.apiserver", "--load", *given, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        rows: list[Row] = []
        used_s = time.process_time()
        async for line in process.stdout:
            what, rate = json.loads(line)
            spent_s, used_s = time.process_time() - used_s, time.process_time()
            rows.append(
                {"what": what, "per second": rate, "aim": AIMS[what], "CPU µs": spent_s / (rate * seconds) * 1e6}
            )
        await process.wait()
        await runner.cleanup()
        return rows


def echo_tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pki" / "server.crt", folder / "pki" / "server.key")
    return context


AIMS = {"echo": "-", "create": "3,000", "get": "6,000", "put": "3,000"}


def main(arguments: list[str] | None = None) -> None:
    """Measure and report; ``--profile`` prints where the server's time goes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--load", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args(arguments)
    if options.load:
        folder, port, echo_port, seconds = options.load
        uvloop.run(load(Path(folder), int(port), int(echo_port), float(seconds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        profile = cProfile.Profile()
        if options.profile:
            profile.enable()
        rows = uvloop.run(measure(Path(folder), options.seconds))
        profile.disable()
        if options.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    report("apiserver", "API server over TLS, 8 clients, memory store (CPU: of the server, a request)", rows)


if __name__ == "__main__":
    main()
