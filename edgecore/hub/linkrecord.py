"""Leaves the link's state in a file for ``edgecore status``, which reads it while the agent runs and after."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from edgecore.hub.client import LinkState
from edgecore.node.identity import write_private

log = structlog.get_logger("edgecore")

WRITE_AGAIN_S: Final = 5.0
"""How long after the disk refused the state it is offered again."""


class LinkRecord:
    """The file. What the disk refuses is offered again until it is taken, or something newer is.

    Args:
        path: Where it is.
        wall_clock: Returns seconds since the epoch.
    """

    def __init__(self, path: Path, wall_clock: Callable[[], float]) -> None:
        self._path = path
        self._wall_clock = wall_clock
        self._again: asyncio.TimerHandle | None = None

    def note(self, state: LinkState) -> None:
        """Record ``state``. Call it on the event loop."""
        content = {
            "phase": state.phase,
            "reason": state.reason,
            "address": state.address,
            "code": state.code,
            "retryInSeconds": round(state.retry_in_s, 1),
            "since": self._wall_clock(),
        }
        if self._again is not None:
            self._again.cancel()
        self._write(json.dumps(content).encode(), again=False)

    def _write(self, content: bytes, *, again: bool) -> None:
        self._again = None
        try:
            write_private(self._path, content)
        except OSError as error:
            if not again:
                log.warning("link state not recorded", cause=str(error))
            loop = asyncio.get_running_loop()
            self._again = loop.call_later(WRITE_AGAIN_S, lambda: self._write(content, again=True))
