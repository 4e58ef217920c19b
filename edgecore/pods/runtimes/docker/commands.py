"""Commands run inside containers, with a hard limit on their time.

Docker has no call that ends such a command. Where the engine runs on this very host (its usual place) the command's
session is found by its pid and killed; on another host it is left to itself, and a line in the log says so.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import structlog

from edgecore.pods.runtimes.base import EXEC_OUTPUT_BYTES, ExecResult, ExecTimedOut, NotRunning
from edgecore.pods.runtimes.docker.engine import CONFLICT, NOT_FOUND, Engine, EngineError
from edgecore.pods.runtimes.process import proc

log = structlog.get_logger(__name__)

_POLL_S: Final = 0.02
_NO_SUCH_PROGRAM: Final = 127
_NOT_EXECUTABLE: Final = 126


class Commands:
    """Runs commands in containers of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def exec(self, container: str, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Run a command; see :meth:`edgecore.pods.runtimes.base.Runtime.exec`.

        Args:
            container: Docker's id.
            argv: Program and arguments.
            timeout_s: Then it is killed.
        """
        try:
            command = await self._engine.exec(container, argv)
        except EngineError as error:
            if error.status in (NOT_FOUND, CONFLICT):
                raise NotRunning(error.message) from None
            raise
        output = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                code = await self._run(command, output)
        except TimeoutError:
            await self._kill(container, command)
            raise ExecTimedOut(f"command {argv[0]!r} did not end within {timeout_s:g} s") from None
        except EngineError as error:
            return await self._unstarted(container, error)
        await self._check(container)
        if code in (_NO_SUCH_PROGRAM, _NOT_EXECUTABLE) and b"OCI runtime exec failed" in output:
            code = _code_of(output.decode(errors="replace"))
        return ExecResult(code, bytes(output))

    async def _run(self, command: str, output: bytearray) -> int:
        async with aclosing(self._engine.run(command)) as printed:
            async for data in printed:
                output += data[: EXEC_OUTPUT_BYTES - len(output)]
        # The end of its output may come a moment before its end, or long before where it closed it.
        # Docker has no call that waits for it.
        while (end := await self._engine.exec_end(command)).running:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        return end.exit_code

    async def _unstarted(self, container: str, error: EngineError) -> ExecResult:
        await self._check(container)
        if "exec failed" in error.message or "executable file not found" in error.message:
            return ExecResult(_code_of(error.message), error.message.encode()[:EXEC_OUTPUT_BYTES])
        raise error

    async def _check(self, container: str) -> None:
        """Raise :class:`NotRunning` if the container has ended."""
        inspected = await self._engine.inspect(container)
        if inspected is None or not inspected["State"]["Running"]:
            raise NotRunning("the container ended before the command did")

    async def _kill(self, container: str, command: str) -> None:
        end = await self._engine.exec_end(command)
        if not end.running or not end.pid:
            return
        leader = proc.stat(end.pid)
        # A pid of another host, or of a namespace that is not ours, means someone else here.
        if leader is None or not _is_in(end.pid, container):
            log.warning("a command that hangs cannot be killed: its engine is on another host", container=container)
            return
        for pid in proc.session_members(end.pid, leader.start_time):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _is_in(pid: int, container: str) -> bool:
    """Tell whether a process of this host is in a container, by its cgroup."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def _code_of(message: str) -> int:
    missing = "not found" in message or "no such file" in message
    return _NO_SUCH_PROGRAM if missing else _NOT_EXECUTABLE
