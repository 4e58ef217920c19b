"""A device crashes at random moments, by SIGKILL of everything at once or by a power cut: its pods come right.

A few seeds here; ``make crashes SEEDS=100`` plays more. The power cut is a real one to the file system (ext4), which
loses what was not synced.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.crashlab import crash_lab

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SEEDS = int(os.environ.get("AIOKUBEEDGE_CRASHES") or 4)
FIRST = int(os.environ.get("AIOKUBEEDGE_SEED") or 1)


@pytest.mark.timeout(60 + 90 * SEEDS)
async def test_every_pod_comes_right_after_crashes_of_everything_at_once(tmp_path: Path) -> None:
    async with crash_lab(tmp_path, FIRST) as lab:
        for seed in range(FIRST, FIRST + SEEDS):
            wrong = await lab.play(seed)
            assert not wrong, f"seed {seed}: {wrong}"
            print(f"seed {seed}: {len(lab.work.asked)} pods right")  # noqa: T201 - make crashes shows it
        assert lab.work.crashes
        print(f"{len(lab.work.crashes)} crashes, {lab.work.made} pods, {len(lab.work.lost)} jobs whose end nobody saw")  # noqa: T201
        print(f"what the agent complained of: {lab.complaints}")  # noqa: T201
