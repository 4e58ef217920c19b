"""Drives the real kubectl."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.requirements import is_required

_DEADLINE_S = 60.0


def find_kubectl() -> str:
    """Return kubectl's path; skip the test where there is none, or fail it where CI says there must be one."""
    path = shutil.which("kubectl")
    if path is None:
        if is_required("KUBECTL"):
            pytest.fail("kubectl is not installed, and this run requires it")
        pytest.skip("kubectl is not installed")
    return path


@dataclass(frozen=True)
class Outcome:
    """What a run of kubectl gave."""

    code: int
    out: str
    err: str


class Kubectl:
    """kubectl with one kubeconfig and a home folder of its own.

    Attributes:
        home: Its folder, for files of the test's own too.
    """

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self._path = find_kubectl()
        self._kubeconfig = kubeconfig
        self.home = home

    async def start(self, *args: str, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
        """Start kubectl with its streams piped; the caller waits for it or kills it."""
        return await asyncio.create_subprocess_exec(
            self._path,
            f"--kubeconfig={self._kubeconfig}",
            f"--cache-dir={self.home / 'cache'}",
            *args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "HOME": str(self.home), **(environment or {})},
        )

    async def run(self, *args: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Outcome:
        """Run kubectl to its end."""
        process = await self.start(*args, environment=environment)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                out, err = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Outcome(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *args: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
        """Run kubectl, require that it succeeds, and return what it printed."""
        outcome = await self.run(*args, stdin=stdin, environment=environment)
        assert outcome.code == 0, f"kubectl {' '.join(args)}: exit {outcome.code}\n{outcome.out}\n{outcome.err}"
        return outcome.out

    async def json(self, *args: str) -> Any:
        """Run kubectl with ``-o json`` and return the decoded answer."""
        return json.loads(await self.ok(*args, "-o", "json"))
