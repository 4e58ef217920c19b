"""How much of the disk a pod's volumes take. Runs in threads; answers are kept for a while.

Whoever enforces limits asks as often as it likes: a volume is walked again only once its last answer is
:data:`KEPT_S` old, or twenty times as old as the walk took, so that a volume of a million files costs 5 % of a core
at most.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from edgecore.pods.storage import VolumeUsage
from edgecore.pods.trees import walk
from protocol.objects.keys import Uid

log = structlog.get_logger(__name__)

KEPT_S: Final = 10.0
_REST: Final = 20.0
_BLOCK_BYTES: Final = 512


def measure(path: Path, *, in_memory: bool = False) -> VolumeUsage:
    """Walk a volume and add up.

    Raises:
        OSError: The disk refuses.
    """
    top = path.stat()
    blocks, inodes = top.st_blocks, 1
    linked: set[int] = set()
    for entry in walk(path):
        if entry.stat.st_nlink > 1 and not stat.S_ISDIR(entry.stat.st_mode):
            if entry.stat.st_ino in linked:
                continue
            linked.add(entry.stat.st_ino)
        blocks += entry.stat.st_blocks
        inodes += 1
    return VolumeUsage(blocks * _BLOCK_BYTES, inodes, in_memory)


@dataclass(frozen=True, slots=True)
class _Answer:
    usage: VolumeUsage
    at: float
    took_s: float

    def stale(self, now: float) -> bool:
        return now - self.at >= max(KEPT_S, _REST * self.took_s)


class UsageMeter:
    """Measures volumes, one at a time.

    Args:
        clock: Monotonic seconds.
        measure: Walks a volume, in a thread.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        measure: Callable[[Path, bool], VolumeUsage] = lambda path, in_memory: measure(path, in_memory=in_memory),
    ) -> None:
        self._clock = clock
        self._measure = measure
        self._answers: dict[Uid, dict[str, _Answer]] = {}
        self._one = asyncio.Lock()

    async def usage(self, uid: Uid, volumes: Mapping[str, tuple[Path, bool]]) -> dict[str, VolumeUsage]:
        """Return what each volume takes; one that cannot be walked is left out.

        Args:
            uid: The pod.
            volumes: Name to folder, and whether that is in memory.
        """
        async with self._one:
            known = self._answers.setdefault(uid, {})
            for name in known.keys() - volumes.keys():
                del known[name]
            for name, (path, in_memory) in volumes.items():
                if name not in known or known[name].stale(self._clock()):
                    await self._ask(known, name, path, in_memory=in_memory)
            if not known:
                self.forget(uid)  # it may have gone while others were measured
            return {name: answer.usage for name, answer in known.items()}

    async def _ask(self, known: dict[str, _Answer], name: str, path: Path, *, in_memory: bool) -> None:
        began = self._clock()
        try:
            usage = await asyncio.to_thread(self._measure, path, in_memory)
        except OSError as error:
            log.debug("a volume cannot be measured", volume=os.fspath(path), cause=str(error))
            return
        now = self._clock()
        known[name] = _Answer(usage, now, now - began)

    def forget(self, uid: Uid) -> None:
        """Forget a pod's answers."""
        self._answers.pop(uid, None)
