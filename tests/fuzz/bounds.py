"""How much memory reading some bytes may take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FLOOR_BYTES: Final = 4 << 20
"""What any call may take: tables, compiled expressions and caches that are made on first use."""


class Measuring:
    """How often to measure: it slows everything that is measured down, tenfold."""

    every = 0
    """Each of so many calls; 0 never. The suite does not; the fuzzer sets it."""
    calls = 0


@contextmanager
def at_most(size_bytes: int, factor: int, *, floor_bytes: int = FLOOR_BYTES) -> Iterator[None]:
    """Assert that what runs inside allocates no more than ``factor`` times ``size_bytes`` at its peak.

    It measures what Python allocates, in some of the calls (:class:`Measuring`); the fuzzer watches the process's
    resident size besides, in all of them. It does not nest.

    Args:
        size_bytes: What was given to read; for what decompresses, the limit on what may come out.
        factor: What one byte may cost at the worst.
        floor_bytes: What is free.
    """
    Measuring.calls += 1
    if not Measuring.every or Measuring.calls % Measuring.every:
        yield
        return
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    allowed = floor_bytes + factor * size_bytes
    assert peak <= allowed, f"{peak} bytes were allocated for {size_bytes}, {allowed} are allowed"
