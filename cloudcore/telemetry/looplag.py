"""How late the event loop runs: no step may hold it over 10 ms, and this is how one that does is seen."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

PERIOD_S: Final = 0.5
WINDOW: Final = 120
"""Measurements kept: a minute's worth."""


class LoopLag:
    """Measures by how much a timer fires late. One task; costs two wake-ups a second."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=WINDOW)

    @property
    def worst_s(self) -> float:
        """The worst of the last minute, seconds."""
        return max(self._recent, default=0.0)

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self._recent.append(max(0.0, loop.time() - due))
