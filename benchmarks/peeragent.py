"""A peer's agent at rest, where ``PEER_EDGECORE`` names its program: its memory and processor beside ours.

It is started as its owner has set it up, with the arguments in ``PEER_EDGECORE_ARGS`` (``--config=…``), left alone like
ours, and ended. Processes that it starts count with it; a container engine that it only talks to does not.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.children import cpu_s, resident_bytes
from examples.demo.processes import Daemon

SETTLE_S = 10.0


@dataclass(frozen=True, slots=True)
class AtRest:
    """How an agent does at rest.

    Attributes:
        resident_mb: Its memory, MB (10⁶ bytes).
        share: What it uses of a core, per cent.
    """

    resident_mb: float
    share: float


async def peer_at_rest(folder: Path, idle_s: float) -> AtRest | None:
    """Measure the peer; None where none is named.

    Args:
        folder: Takes its log.
        idle_s: How long it is left alone, seconds.

    Raises:
        SystemExit: It is not there, or it ends before it has been measured.
    """
    path = os.environ.get("PEER_EDGECORE", "")
    if not path:
        return None
    if not os.access(path, os.X_OK):
        raise SystemExit(f"PEER_EDGECORE={path} is no program")
    arguments = shlex.split(os.environ.get("PEER_EDGECORE_ARGS", ""))
    daemon = Daemon(path, (path, *arguments), folder / "peer.log")
    await daemon.start()
    try:
        await asyncio.sleep(SETTLE_S)
        used, began = _cpu(daemon), time.monotonic()
        await asyncio.sleep(idle_s)
        return AtRest(_resident(daemon) / 1e6, (_cpu(daemon) - used) / (time.monotonic() - began) * 100)
    except psutil.NoSuchProcess:
        raise SystemExit(f"the peer's agent has ended:\n{daemon.tail()}") from None
    finally:
        await daemon.stop()


def _family(daemon: Daemon) -> list[int]:
    if not daemon.running:
        raise psutil.NoSuchProcess(daemon.pid)
    return [daemon.pid, *(child.pid for child in psutil.Process(daemon.pid).children(recursive=True))]


def _cpu(daemon: Daemon) -> float:
    return sum(cpu_s(pid) for pid in _family(daemon))


def _resident(daemon: Daemon) -> int:
    return sum(resident_bytes(pid) for pid in _family(daemon))
