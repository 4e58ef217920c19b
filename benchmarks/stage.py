"""A whole stage for a benchmark: a world, its cloud and its fleet, each process of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import Child
from benchmarks.world import make_world

START_WITHIN_S = 180.0


@dataclass(slots=True)
class Stage:
    """The processes, running.

    Attributes:
        folder: The cloud's data folder.
        cloud: The cloud.
        fleet: The simulated edges.
        ports: The cloud's, by setting name.
    """

    folder: Path
    cloud: Child
    fleet: Child
    ports: dict[str, int]

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"


@asynccontextmanager
async def stage(folder: Path, nodes: int, *, own_objects: int = 0, plain: bool = False) -> AsyncIterator[Stage]:
    """Set a stage with ``nodes`` nodes, none of them connected, and clear it away afterwards."""
    await make_world(folder, nodes, own_objects=own_objects, plain=plain)
    cloud = await Child.start("benchmarks.cloudhost", str(folder), log=folder / "cloud.log")
    try:
        ports = await ports_of(folder, cloud.pid)
        fleet = await Child.start("benchmarks.fleet", str(folder), str(ports["ws_port"]), log=folder / "fleet.log")
        try:
            yield Stage(folder, cloud, fleet, ports)
        finally:
            await fleet.stop()
    finally:
        await cloud.stop()


async def ports_of(folder: Path, pid: int) -> dict[str, int]:
    """Wait until the cloud is ready; return its ports."""
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        try:
            recorded = json.loads((folder / "run.json").read_text())
        except (OSError, ValueError):
            recorded = {}
        if recorded.get("pid") == pid and recorded["ready"]:
            return {name: int(port) for name, port in recorded["ports"].items()}
        await asyncio.sleep(0.02)
    raise SystemExit(f"the cloud did not start; see {folder / 'cloud.log'}")
