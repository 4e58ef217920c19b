"""How much of a node a pod counts for when nodes are scored. Sans-IO."""

from __future__ import annotations

from typing import Final

from protocol.objects.keys import Body
from protocol.objects.podrequests import CPU, MEMORY, MOST, Amounts, add, amounts, effective

DEFAULT_CPU_MILLI: Final = 100
DEFAULT_MEMORY_BYTES: Final = 200 * 1024 * 1024
"""What a container that requests nothing is taken to use when nodes are scored (never when they are filtered)."""


def scored_requests(spec: Body) -> tuple[int, int]:
    """Return cpu (milli) and memory (bytes) as scores count them: a container without a request counts a default."""
    total = effective(spec, _requests_or_default)
    add(total, amounts(spec.get("overhead") or {}))
    return min(total.get(CPU, 0), MOST), min(total.get(MEMORY, 0), MOST)


def _requests_or_default(container: Body) -> Amounts:
    stated = amounts((container.get("resources") or {}).get("requests") or {})
    return {CPU: DEFAULT_CPU_MILLI, MEMORY: DEFAULT_MEMORY_BYTES, **stated}
