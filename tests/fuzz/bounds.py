"""How much memory reading some bytes may take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FLOOR_BYTES: Final = 4 << 20
"""What any call may take: tables, compiled expressions and caches that are made on first use."""


@contextmanager
def at_most(size_bytes: int, factor: int, *, floor_bytes: int = FLOOR_BYTES) -> Iterator[None]:
    """Assert that what runs inside allocates no more than ``factor`` times ``size_bytes`` at its peak.

    It measures what Python allocates, and only where ``tracemalloc`` has been started: the fuzzer starts it, and
    watches the process's resident size besides.

    Args:
        size_bytes: What was given to read; for what decompresses, the limit on what may come out.
        factor: What one byte may cost at the worst.
        floor_bytes: What is free.
    """
    if not tracemalloc.is_tracing():
        yield
        return
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    yield
    peak = tracemalloc.get_traced_memory()[1] - before
    allowed = floor_bytes + factor * size_bytes
    assert peak <= allowed, f"{peak} bytes were allocated for {size_bytes}, {allowed} are allowed"
