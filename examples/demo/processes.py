"""Real daemons as child processes: a cloud, edges, and a gate in the link that can be shut.

Used by ``make demo`` and by the end-to-end tests. Whoever starts something here stops it: everything is an async
context or is stopped by :meth:`Daemon.stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from cloudcore.errors import ApiError
from cloudcore.rest import RestClient, ServerUnreachable
from protocol.errors import AiokubeedgeError

T = TypeVar("T")
BIN = Path(sys.executable).parent
POLL_S = 0.05


class StepFailed(AiokubeedgeError):
    """Something that should have come about did not."""


async def until(
    what: str, check: Callable[[], Awaitable[T | None]], *, within_s: float = 60.0, poll_s: float = POLL_S
) -> T:
    """Poll ``check`` until it returns something true, and return that.

    Raises:
        StepFailed: It did not within ``within_s`` seconds; ``what`` says what was waited for.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            found = await check()
        except (ApiError, ServerUnreachable, OSError) as error:
            found, last = None, f": {error}"
        else:
            last = ""
        if found:
            return found
        if time.monotonic() > deadline:
            raise StepFailed(f"{what}: not within {within_s:.0f} s{last}")
        await asyncio.sleep(poll_s)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in ``folder`` or name it in command line or environment; zombies have ended."""
    return [process for process in psutil.process_iter() if _belongs_to(process, f"{folder}/")]


def _belongs_to(process: psutil.Process, folder: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # The daemons have their settings in the environment.
        return any(folder in f"{text}/" for text in (*process.cmdline(), process.cwd(), *process.environ().values()))
    except psutil.Error:
        return False  # It has ended meanwhile, or is somebody else's.


async def command(name: str, *args: str, check: bool = True) -> str:
    """Run an installed command to its end and return its output.

    Raises:
        StepFailed: It exited with a status other than 0 and ``check`` is set.
    """
    process = await asyncio.create_subprocess_exec(
        str(BIN / name), *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if check and process.returncode != 0:
        raise StepFailed(f"{name} {' '.join(args)}: exit status {process.returncode}: {err.decode().strip()}")
    return out.decode()


@dataclass(slots=True)
class Daemon:
    """One child process with its log file."""

    name: str
    argv: Sequence[str]
    log_path: Path
    env: Mapping[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process; its output is appended to the log file."""
        with self.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.argv, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, env={**os.environ, **self.env}
            )

    @property
    def pid(self) -> int:
        """The process id of the running process."""
        if self.process is None:
            raise StepFailed(f"{self.name} has not been started")
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.returncode is None

    async def stop(self, *, sig: int = signal.SIGTERM, within_s: float = 20.0) -> int:
        """Send ``sig``, wait for the end and return the exit status; SIGKILL after ``within_s`` seconds."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(sig)
        try:
            return await asyncio.wait_for(self.process.wait(), within_s)
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()

    async def kill(self) -> None:
        """End the process as a power cut would: SIGKILL, no last words."""
        await self.stop(sig=signal.SIGKILL)

    def tail(self, lines: int = 30) -> str:
        """Return the end of the log."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


class Cloud:
    """A cloudcore of its own in ``folder``, on loopback, on free ports.

    Args:
        folder: Its data folder and log.
        flags: More flags for ``cloudcore run``.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = folder / "data"
        self._flags = flags
        self._ports: dict[str, int] = {}
        self.daemon = Daemon("cloudcore", (), folder / "cloudcore.log")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.data_dir / "admin.kubeconfig"

    @property
    def ports(self) -> dict[str, int]:
        """The ports it listens on, by setting name; the same after a restart."""
        return self._ports

    async def start(self, *, within_s: float = 60.0) -> None:
        """Start the daemon and wait until it is ready."""
        await self.launch()
        await self.wait_ready(within_s=within_s)

    async def wait_ready(self, *, within_s: float = 60.0) -> None:
        """Wait until the daemon that was launched is ready."""
        self._ports = await until("cloudcore is ready", self._ready, within_s=within_s)

    async def launch(self) -> None:
        """Start the daemon and wait for nothing."""
        ports = ("api_port", "ws_port", "enrol_port", "metrics_port")
        given = [f"--{name.replace('_', '-')}={self._ports.get(name, 0)}" for name in ports]
        self.daemon.argv = (
            str(BIN / "cloudcore"),
            "run",
            f"--data-dir={self.data_dir}",
            "--listen=127.0.0.1",
            "--advertise=127.0.0.1,localhost",
            *given,
            *self._flags,
        )
        await self.daemon.start()

    async def _ready(self) -> dict[str, int] | None:
        if not self.daemon.running:
            raise StepFailed(f"cloudcore ended:\n{self.daemon.tail()}")
        with contextlib.suppress(OSError, ValueError):
            recorded = json.loads((self.data_dir / "run.json").read_text())
            if recorded["pid"] == self.daemon.pid and recorded["ready"]:
                return {name: int(port) for name, port in recorded["ports"].items()}
        return None

    async def token(self, node: str) -> str:
        """Create a join token for ``node``."""
        return (await command("cloudcore", "token", "create", f"--data-dir={self.data_dir}", f"--node={node}")).strip()

    def client(self) -> RestClient:
        """Return a client with the administrator's rights; use it as an async context."""
        return RestClient(self.kubeconfig)


class Edge:
    """An edgecore of its own in ``folder``.

    Args:
        folder: Its data folder and log.
        node: The node's name.
    """

    def __init__(self, folder: Path, node: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.node = node
        self.data_dir = folder / "data"
        self.daemon = Daemon(node, (), folder / "edgecore.log")

    async def join(self, cloud: Cloud, *flags: str) -> None:
        """Join ``cloud`` with a fresh token."""
        token_file = self.data_dir.parent / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(await cloud.token(self.node))
        await command(
            "edgecore",
            "join",
            f"--data-dir={self.data_dir}",
            f"--server=https://127.0.0.1:{cloud.ports['enrol_port']}",
            f"--token-file={token_file}",
            f"--node-name={self.node}",
            *flags,
        )

    async def start(self, *flags: str) -> None:
        """Start the agent."""
        self.daemon.argv = (str(BIN / "edgecore"), "run", f"--data-dir={self.data_dir}", *flags)
        await self.daemon.start()


class Gate:
    """A TCP relay in front of one port that can be shut, as a cut cable is: nothing passes, nobody answers.

    Use as an async context. ``port`` is where it listens on loopback.
    """

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._open = True
        self._pairs: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Gate:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.shut()
        if self._server is not None:
            self._server.close()

    def shut(self) -> None:
        """Cut the link: end what passes and let nothing new through."""
        self._open = False
        for writer in tuple(self._pairs):
            writer.transport.abort()

    def reopen(self) -> None:
        """Mend the link."""
        self._open = True

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._pairs |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far_writer))
                group.create_task(_pump(far_reader, writer))
        finally:
            self._pairs -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
