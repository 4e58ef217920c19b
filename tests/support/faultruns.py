"""Runs of the fault lab, each in namespaces of its own: network, mounts, processes.

``unshare`` makes them and the kernel takes them down when the run's first process ends, however it ends: no device,
mount or process is left behind, also when the run or its starter is killed, and runs side by side do not meet.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.faultschedule import Scope

_TOOLS = ("unshare", "nsenter", "ip", "tc", "iptables-restore", "mount", "cc", "flock")
_ISOLATED = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True, slots=True)
class Run:
    """One run to make.

    Attributes:
        seed: What happens.
        folder: Where everything is kept; made.
        scope: How much happens.
        transport: How edges reach the hub.
    """

    seed: int
    folder: Path
    scope: Scope = field(default_factory=Scope)
    transport: str = "websocket"


def missing() -> str | None:
    """Return why the lab cannot be set up here; None where it can."""
    absent = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if absent:
        return f"the fault lab needs {', '.join(absent)}"
    if os.geteuid() != 0:
        return "the fault lab makes network namespaces, which needs root"
    checks = (
        "test -c /dev/net/tun && ip link add lab0 type veth && mount -t tmpfs tmpfs /run && iptables-restore </dev/null"
    )
    tried = subprocess.run([*_ISOLATED, "sh", "-c", checks], capture_output=True, text=True, check=False)
    return f"the fault lab cannot make its networks here: {tried.stderr.strip()}" if tried.returncode else None


def isolated(module: str, *args: str) -> Sequence[str]:
    """Return the command that runs a module's ``main`` in namespaces of its own."""
    return (*_ISOLATED, sys.executable, "-m", "tests.support.firstprocess", sys.executable, "-m", module, *args)


def start(run: Run) -> subprocess.Popen[bytes]:
    """Start a run; :func:`findings` tells what came of it."""
    run.folder.mkdir(parents=True)
    args = [f"--seed={run.seed}", f"--folder={run.folder}", f"--transport={run.transport}"]
    args += (f"--faults-s={run.scope.faults_s}", f"--stretch={run.scope.stretch}")
    with (run.folder / "lab.log").open("wb") as log:
        return subprocess.Popen(isolated("tests.support.faultrun", *args), stdout=log, stderr=log)


def findings(run: Run, status: int) -> list[str]:
    """Return what a run found wrong, from its exit status and its folder."""
    if status == 0:
        return []
    try:
        return (run.folder / "findings").read_text().splitlines()
    except FileNotFoundError:
        log = (run.folder / "lab.log").read_text(errors="replace").splitlines()
        return [f"the lab itself failed with status {status}:", *log[-40:]]


def report(run: Run, wrong: Sequence[str]) -> str:
    """Return what to tell people of a run that failed."""
    schedule = run.folder / "schedule.txt"
    happened = schedule.read_text().splitlines() if schedule.exists() else []
    again = f"make faults FIRST={run.seed} SEEDS=1"
    return "\n".join(
        (
            f"seed {run.seed}: {len(wrong)} findings; play it again with: {again}",
            *(f"  {each}" for each in wrong[:40]),
            f"logs, disks and schedule are in {run.folder}",
            "what happened:",
            *(f"  {line}" for line in happened),
        )
    )
