"""Child processes that are asked questions: one JSON object a line on their standard input, one answer a line back."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

LINE_LIMIT_BYTES = 64 << 20
OPEN_FILES = 1 << 16

Commands = Mapping[str, Callable[..., Awaitable[Any]]]


class Child:
    """One child process. Made by :meth:`start`; ended by :meth:`stop`.

    Args:
        process: The process, with pipes on its standard input and output.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, module: str, *arguments: str, log: Path) -> Child:
        """Run ``python -m module`` with its errors appended to ``log``."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *cls.command(module, *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=LINE_LIMIT_BYTES,
            )
        return cls(process)

    @staticmethod
    def command(module: str, *arguments: str) -> tuple[str, ...]:
        """Return the command that runs a module of ours."""
        return sys.executable, "-m", module, *arguments

    async def ask(self, do: str, **fields: Any) -> Any:
        """Have the child run the command ``do`` and return its answer."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        line = await process.stdout.readline()
        if not line:
            raise SystemExit(f"the child process ended while it was asked to {do}")
        return json.loads(line)

    async def stop(self) -> None:
        """End the child in order."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 30)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def answer(commands: Commands) -> None:
    """In the child: run commands, one after the other, until the standard input ends."""
    reader = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        result = await commands[request.pop("do")](**request)
        print(json.dumps(result), flush=True)


def raise_file_limit() -> None:
    """Let this process, and those it starts, hold a fleet's sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used, seconds."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident_bytes(pid: int) -> int:
    """Return the memory a process has resident (VmRSS)."""
    return int(psutil.Process(pid).memory_info().rss)


async def cpu_share(pid: int, seconds: float) -> float:
    """Return which share of one core a process uses over the next ``seconds``."""
    used, started = cpu_s(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_s(pid) - used) / (time.monotonic() - started)
