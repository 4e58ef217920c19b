"""Crashes of everything at once on a device: agent, supervisors and containers, by SIGKILL or by a power cut.

A power cut stops every process where it stands, shuts the disk down with whatever was not synced, and ends the
processes; the device comes up under another boot id. The cloud and the cable are another machine's and live on.
"""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import psutil

from examples.demo.processes import BIN, Edge, Gate, StepFailed, processes_in, until
from tests.support.clusters import Cluster, log_lines, running_cluster
from tests.support.crashworkload import Workload
from tests.support.powerdisk import PowerDisk, power_disk

NODE: Final = "edge-1"
SETTLED_S: Final = 60.0
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
_BOOT: Final = f'mount --bind "$0" {_BOOT_ID} && exec "$@"'
"""Comes up under the boot id in a file; in a mount namespace of its own, from which nothing gets out."""


@dataclass
class CrashLab:
    """A device under a workload.

    Attributes:
        edge: The device.
        disk: Its disk.
        gate: Its cable.
        work: What it is asked to run.
        complaints: Lines of the agent's log that should not be, by their event.
    """

    cluster: Cluster
    edge: Edge
    disk: PowerDisk
    gate: Gate
    work: Workload
    boot: Path
    complaints: dict[str, int] = field(default_factory=dict)
    _read: int = 0

    async def start(self) -> None:
        """Start the agent, under the boot id of the moment."""
        flags = [f"--data-dir={self.edge.data_dir}", f"--hub=wss://127.0.0.1:{self.gate.port}"]
        self.edge.daemon.argv = (
            *("unshare", "--mount", "--propagation", "slave", "sh", "-c", _BOOT, str(self.boot)),
            *(str(BIN / "edgecore"), "run", *flags),
        )
        await self.edge.daemon.start()

    async def play(self, seed: int) -> list[str]:
        """Play one crash, or two, and return what is wrong when all should have settled."""
        rng = self.work.rng = Random(seed)
        power, offline, again = rng.random() < 0.6, rng.random() < 0.4, rng.random() < 0.25
        if offline:
            self.gate.shut()
        crash = asyncio.create_task(self._crash_after(rng.uniform(0.0, 2.0), power=power), name="crash")
        for _ in range(rng.randint(2, 7)):
            await self.work.change()
            await asyncio.sleep(rng.uniform(0, 0.3))
            if offline and rng.random() < 0.3:
                self.gate.reopen()
        await crash
        await self.start()
        if again:
            await self._crash_after(rng.uniform(0.2, 2.0), power=rng.random() < 0.6)
            await self.start()
        self.gate.reopen()
        return await self._judge()

    async def _crash_after(self, delay_s: float, *, power: bool) -> None:
        await asyncio.sleep(delay_s)
        self.work.crashed()
        if power:
            self._end_all(signal.SIGSTOP)
            self.disk.cut_power()
        self._end_all(signal.SIGKILL)
        await self.edge.daemon.kill()
        if power:
            self.disk.restore()
            self.boot.write_text(f"{uuid.uuid4()}\n")

    def _end_all(self, number: int) -> None:
        """Send a signal to everything that runs on the device, and to what it starts meanwhile."""
        done: set[psutil.Process] = set()
        while fresh := set(processes_in(self.edge.data_dir.parent)) - done:
            for process in fresh:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            done |= fresh
        if number == signal.SIGKILL:
            psutil.wait_procs(list(done), timeout=5)

    async def _judge(self) -> list[str]:
        wrong: list[str] = []

        async def settled() -> bool:
            nonlocal wrong
            if not self.edge.daemon.running:
                raise AssertionError(f"the agent ended:\n{self.edge.daemon.tail()}")
            wrong = await self.work.unsettled()
            return not wrong

        try:
            await until("every pod is in its right state", settled, within_s=SETTLED_S, poll_s=0.2)
        except StepFailed:
            return wrong
        return await self.work.broken() + self._errors()

    def _errors(self) -> list[str]:
        """Return the errors that the agent has logged since the last look; note what else it could not read."""
        lines = log_lines(self.edge.daemon)
        fresh, self._read = lines[self._read :], len(lines)
        for line in fresh:
            if line.get("level") in ("warning", "error", "critical"):
                self.complaints[line["event"]] = self.complaints.get(line["event"], 0) + 1
        return [f"the agent said: {line}" for line in fresh if _is_wrong(line)]


def _is_wrong(line: dict[str, Any]) -> bool:
    return line.get("level") in ("error", "critical") or "exception" in line


@asynccontextmanager
async def crash_lab(folder: Path, seed: int) -> AsyncIterator[CrashLab]:
    """Run a cloud, and a device whose data folder is a disk of its own."""
    data = folder / NODE / "data"
    with power_disk(data, folder / "disk.img") as disk:
        async with running_cluster(folder, "--heartbeat-s=1") as cluster, Gate(cluster.cloud.ports["ws_port"]) as gate:
            edge = cluster.edges[NODE] = Edge(folder / NODE, NODE)
            await cluster.join(edge, {})
            boot = folder / "boot_id"
            boot.write_text(f"{uuid.uuid4()}\n")
            work = Workload(cluster, edge, folder / "journal", Random(seed))
            lab = CrashLab(cluster, edge, disk, gate, work, boot)
            await work.begin()
            await lab.start()
            await cluster.node_is(NODE, "True")
            yield lab
