"""Daemons in the fault lab: each with a disk that can be full, a wall clock that can be stepped, and a supervisor.

Each process is started again when it ends, as systemd would. An end that nobody caused is a finding, except while the
disk is full: a daemon that is started on a full disk says so and exits.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from examples.demo.processes import BIN, Cloud, Daemon, Edge
from tests.support.disks import SmallDisk
from tests.support.netlab import CLOUD_ADDRESS, Link, tool
from tests.support.wallclocks import WallClock

AGAIN_S = 0.5
GRACE_S = 10.0
"""How long a node may be silent until it is NotReady: what lasts longer in a schedule is noticed by the cloud."""
EDGE_DISK_KIB = 24 * 1024
CLOUD_DISK_KIB = 96 * 1024


class Site:
    """One daemon.

    Args:
        daemon: The process.
        disk: Where its data folder is.
        clock: Its wall clock.
        launch: Starts the process.

    Attributes:
        turn: Held while something is done to the process.
        disk_turn: Held while something is done to the disk.
        clock_turn: Held while something is done to the clock.
        surprises: What happened that nobody caused.
    """

    def __init__(
        self, daemon: Daemon, disk: SmallDisk, clock: WallClock, launch: Callable[[], Awaitable[None]]
    ) -> None:
        self.daemon = daemon
        self.turn, self.disk_turn, self.clock_turn = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self.surprises: list[str] = []
        self._disk = disk
        self._clock = clock
        self._launch = launch
        self._ends = 0
        daemon.env = {**daemon.env, **clock.env}

    @property
    def name(self) -> str:
        """The daemon's name."""
        return self.daemon.name

    @property
    def data_dir(self) -> Path:
        """The daemon's data folder: a disk of its own."""
        return self._disk.path

    async def supervise(self) -> None:
        """Start the process again whenever it ends by itself."""
        while True:
            process = self.daemon.process
            assert process is not None
            code = await process.wait()
            async with self.turn:
                if self.daemon.process is not process:
                    continue  # whoever ended it has started it again
                if not self.disk_turn.locked():
                    self.surprises.append(f"{self.name} ended by itself with status {code}:\n{self.daemon.tail(5)}")
                await asyncio.sleep(AGAIN_S)
                await self._launch()

    async def kill(self) -> None:
        """End the process at once and start it again."""
        async with self.turn:
            await self.daemon.kill()
            await self._launch()

    async def pause(self, for_s: float) -> None:
        """Have the process stand still for a while."""
        async with self.turn:
            os.kill(self.daemon.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(for_s)
            finally:
                os.kill(self.daemon.pid, signal.SIGCONT)

    async def fill_disk(self, for_s: float) -> None:
        """Have the disk full for a while."""
        async with self.disk_turn:
            self._disk.fill()
            try:
                await asyncio.sleep(for_s)
            finally:
                self._disk.make_room()
            # Whoever was being started on the full disk may still be about to give up.
            await asyncio.sleep(2 * AGAIN_S)

    async def step_clock(self, step_s: float, for_s: float) -> None:
        """Have the wall clock wrong for a while."""
        async with self.clock_turn:
            self._clock.set_off(step_s)
            try:
                await asyncio.sleep(for_s)
            finally:
                self._clock.set_off(0.0)

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Have the process down for as long as the block lasts, with nothing wrong about its disk."""
        async with self.disk_turn, self.turn:
            await self.daemon.kill()
            yield
            await self._launch()


async def mount(path: Path, size_kib: int) -> SmallDisk:
    """Mount a disk of its own; it goes with the mount namespace."""
    path.mkdir(parents=True)
    await tool("mount", "-t", "tmpfs", "-o", f"size={size_kib}k,mode=0711", "tmpfs", str(path))
    return SmallDisk(path)


class LabCloud(Cloud):
    """A cloud that the lab's edges reach over their links."""

    def __init__(self, folder: Path) -> None:
        names = f"127.0.0.1,localhost,{CLOUD_ADDRESS}"
        # The last one given counts: it listens on the links too.
        quick = ("--heartbeat-s=1", f"--node-grace-s={GRACE_S:g}")
        super().__init__(folder, *quick, "--listen=0.0.0.0", f"--advertise={names}")
        self.daemon.name = "cloud"


class LabEdge(Edge):
    """An edge in a namespace of its own.

    Args:
        folder: Its data folder and log.
        link: Its way to the cloud.
        hub: The hub's address.
    """

    def __init__(self, folder: Path, link: Link, hub: str) -> None:
        super().__init__(folder, link.name)
        # A full disk is to break what is written; that it also ends pods, as it should, would hide starts too many.
        settings = (f"--data-dir={self.data_dir}", f"--hub={hub}", "--eviction-hard=none")
        self.daemon.argv = link.inside(str(BIN / "edgecore"), "run", *settings)
