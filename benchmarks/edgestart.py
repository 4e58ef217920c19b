"""How soon a device is at work: from the command to the first pod without a cloud, and to all 20 pods adopted.

``edgecore run --offline`` itself, with static pods of the process runtime. The first figure is the time until a process
of the pod has run; the second until the agent, killed and started anew, says that it has taken up all pods.

Usage: ``python -m benchmarks.edgestart [--quick]``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import uvloop

from benchmarks.harness import Row, report
from examples.demo.processes import Edge

PODS = 20
POLL_S = 0.005
DEADLINE_S = 60.0
NODE = "edge-node-01"
FLAGS = ("--offline", f"--node-name={NODE}", "--metrics-port=0", "--log-format=json")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    rounds = 1 if parser.parse_args().quick else 5
    with tempfile.TemporaryDirectory() as folder:
        rows = uvloop.run(_measure(Path(folder), rounds))
    report("edgestart", "Starts of the agent without a cloud", rows)


async def _measure(folder: Path, rounds: int) -> list[Row]:
    first = [await _first_pod(folder / f"first-{each}") for each in range(rounds)]
    adopted = await _adopted(folder / "many", rounds)
    return [
        _row("edgecore run --offline, to the first pod's process", first, "1"),
        _row(f"edgecore run --offline, to all {PODS} pods adopted", adopted, "2"),
    ]


def _row(what: str, seconds: list[float], aim: str) -> Row:
    return {"what": what, "measured": statistics.median(seconds), "unit": "s", "peer": "-", "aim": aim}


def _edge(folder: Path, pods: int) -> Edge:
    """Lay out a device with ``pods`` static pods; each notes that it has started."""
    edge = Edge(folder, NODE)
    manifests = edge.data_dir / "manifests"
    manifests.mkdir(parents=True)
    for number in range(pods):
        script = f"echo > {folder}/started-{number}; exec sleep 1000000"
        container = {"name": "main", "image": "none", "command": ["sh", "-c", script]}
        body = {"metadata": {"name": f"app-{number}"}, "spec": {"containers": [container]}}
        path = manifests / f"app-{number}.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", **body}))
    return edge


async def _first_pod(folder: Path) -> float:
    edge = _edge(folder, 1)
    await asyncio.sleep(1.1)  # what was written this second may still be being written
    began = time.monotonic()
    starting = asyncio.ensure_future(edge.start(*FLAGS))
    await _until((folder / "started-0").exists)
    took = time.monotonic() - began
    await starting
    await _end(edge)
    return took


async def _adopted(folder: Path, rounds: int) -> list[float]:
    edge = _edge(folder, PODS)
    await asyncio.sleep(1.1)
    await edge.start(*FLAGS)
    await _until(lambda: all((folder / f"started-{each}").exists() for each in range(PODS)))
    took = [await _adoption(edge, folder / "edgecore.log") for _ in range(rounds)]
    await _end(edge)
    return took


async def _adoption(edge: Edge, log: Path) -> float:
    await edge.daemon.kill()
    before = _size(log)
    began = time.monotonic()
    starting = asyncio.ensure_future(edge.daemon.start())
    await _until(lambda: _taken_up(log, before))
    took = time.monotonic() - began
    await starting
    return took


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(POLL_S)


def _size(log: Path) -> int:
    return log.stat().st_size


def _taken_up(log: Path, offset: int) -> bool:
    if log.stat().st_size < offset:
        offset = 0
    lines = log.read_bytes()[offset:].splitlines()
    return any(b"pods taken up" in line and f'"containers": {PODS}'.encode() in line for line in lines)


async def _end(edge: Edge) -> None:
    """Stop the agent and everything that it has started."""
    await edge.daemon.kill()
    folder = str(edge.data_dir)
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if folder in " ".join(process.info["cmdline"] or ()) or (process.info["cwd"] or "").startswith(folder):
            process.kill()


if __name__ == "__main__":
    main()
