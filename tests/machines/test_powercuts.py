"""The power of a machine is cut at random moments: each time it boots, and its pods come right.

A few cuts here; ``make machine-test CUTS=50 SEED=7`` makes more.
"""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest

from examples.demo.processes import StepFailed, until
from tests.machines.devices import NODE, Device
from tests.machines.machine import PATIENCE_S
from tests.machines.workload import Workload

CUTS = int(os.environ.get("AIOKUBEEDGE_CUTS") or 2)
SEED = int(os.environ.get("AIOKUBEEDGE_SEED") or 1)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout((2 + CUTS) * PATIENCE_S),
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_every_pod_comes_right_after_power_cuts(node: Device) -> None:
    work = Workload(node, Random(SEED))
    await node.join()
    await node.cluster.node_is(NODE, "True", within_s=PATIENCE_S)
    await work.begin()
    for cut in range(1, CUTS + 1):
        rng = work.rng = Random(SEED * 1000 + cut)
        after_s = rng.uniform(0.0, 12.0)
        cutting = asyncio.create_task(_cut(node, after_s), name="power cut")
        for _ in range(rng.randint(6, 12)):
            await work.change()
            await asyncio.sleep(rng.uniform(0.0, 1.5))
        await cutting
        if rng.random() < 0.3:  # while it boots
            await node.machine.boot(until_up=False)
            await asyncio.sleep(rng.uniform(1.0, 40.0))
            await node.machine.cut_power()
        await node.machine.boot()
        await _settled(work, f"seed {SEED}, cut {cut}, {after_s:.1f} s in")
        print(f"cut {cut}: {len(work.asked)} pods right, {work.made} made, {work.lost} ends unseen")  # noqa: T201


async def _cut(node: Device, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await node.machine.cut_power()


async def _settled(work: Workload, when: str) -> None:
    wrong: list[str] = []

    async def settled() -> bool:
        nonlocal wrong
        wrong = await work.unsettled()
        return not wrong

    try:
        await until("every pod is in its right state", settled, within_s=PATIENCE_S, poll_s=1.0)
    except StepFailed:
        said = await work.device.journal()
        raise AssertionError(f"{when}: {wrong}\n{said[-4000:]}") from None
    assert not await work.broken(), when
