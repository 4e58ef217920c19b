"""What the simulated parts log: nothing is printed but on request, exceptions caught and logged are defects."""

from __future__ import annotations

import asyncio
import contextlib
import os
import traceback
from collections.abc import Iterator, MutableMapping
from typing import Any

import structlog

LOUD = bool(os.environ.get("SIMULATION_LOG"))


class _Collector:
    def __init__(self) -> None:
        self.defects: list[str] = []

    def __call__(self, _logger: object, level: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if entry.get("exc_info"):
            self.defects.append(f"{entry['event']}: {traceback.format_exc()}")
        if not LOUD:
            raise structlog.DropEvent
        entry["at"] = f"{asyncio.get_running_loop().time():.6f}"
        entry["level"] = level
        return entry


@contextlib.contextmanager
def defects_logged() -> Iterator[list[str]]:
    """Gather the exceptions that are logged; print every line where ``SIMULATION_LOG`` is set."""
    before = structlog.get_config()
    collector = _Collector()
    structlog.configure(
        processors=[collector, structlog.processors.KeyValueRenderer(key_order=["at", "level", "event"])],
        wrapper_class=structlog.make_filtering_bound_logger("debug" if LOUD else "error"),
        cache_logger_on_first_use=False,
    )
    try:
        yield collector.defects
    finally:
        structlog.configure(**before)
