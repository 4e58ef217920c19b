"""Removes groups of pods that nobody knows: what an agent left that crashed, or lost its data folder.

Level-based: looks now and then at the groups there are. A group counts as left over when its pod was unknown twice in a
row; empty, it is removed, and else its processes are ended, once it is certain that the device holds all it should.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from edgecore.cgroups.controls import PodGroups
from protocol.objects.keys import Uid

log = structlog.get_logger(__name__)

EVERY_S: Final = 60.0


class Leftovers:
    """Looks after the groups of one agent.

    Args:
        groups: The groups.
        is_stranger: Tells whether a pod is certainly none of this node's.
        complete: Tells whether the device holds all it should.
    """

    def __init__(self, groups: PodGroups, is_stranger: Callable[[Uid], bool], complete: Callable[[], bool]) -> None:
        self._groups = groups
        self._is_stranger = is_stranger
        self._complete = complete
        self._suspects: frozenset[Uid] = frozenset()

    async def run(self) -> None:
        """Look until cancelled."""
        while self._groups.enforced:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Remove what was unknown last time and is now."""
        unknown = {uid for uid in await self._groups.pods() if self._is_stranger(uid)}
        for uid in sorted(unknown & self._suspects):
            empty = await self._groups.is_empty(uid)
            if not (empty or self._complete()) or not self._is_stranger(uid):
                continue
            log.warning("removing the control group of a pod nobody knows", pod=uid, processes=not empty)
            try:
                await self._groups.remove_pod(uid)
            except OSError as error:
                log.warning("a control group cannot be removed", pod=uid, cause=str(error))
        self._suspects = frozenset(unknown)
