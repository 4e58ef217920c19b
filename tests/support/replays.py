"""Runs a scenario under a seed, and says on failure how to see it again."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any

from tests.support.virtualtime import run_virtually

FIRST_SEED = int(os.environ.get("SIMULATION_FIRST_SEED", "1"))


def seeds(default: int) -> range:
    """Return the seeds to run: ``SIMULATION_SEEDS`` of them, ``default`` if it is not set."""
    return range(FIRST_SEED, FIRST_SEED + int(os.environ.get("SIMULATION_SEEDS", str(default))))


def run_seeded(seed: int, scenario: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Run ``scenario(seed)`` on simulated time."""
    try:
        run_virtually(scenario(seed))
    except BaseException as failure:
        hashing = os.environ.get("PYTHONHASHSEED", "random")
        failure.add_note(
            f"seed {seed}: repeat it with PYTHONHASHSEED={hashing} SIMULATION_FIRST_SEED={seed} SIMULATION_SEEDS=1"
            " (a run repeats exactly only where PYTHONHASHSEED is a number); SIMULATION_LOG=1 shows what happens"
        )
        raise
