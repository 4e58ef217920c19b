"""One short scenario, run once per step of it with a fault exactly there: the same end each time."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.support.fleets import fleet
from tests.support.judging import judge
from tests.support.replays import run_seeded
from tests.support.simulatedusers import CONFIG_MAPS, DEPLOYMENTS, PODS, SECRETS, User, deployment, pod_spec
from tests.support.traps import Fault, Trap, crash_cloud, crash_edges, crash_owner, cut_links

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def make_and_change(user: User) -> None:
    """Make, change and remove one of each, all of it acknowledged."""
    config, secret = user.key(CONFIG_MAPS, "settings"), user.key(SECRETS, "password")
    pod, web = user.key(PODS, "single"), user.key(DEPLOYMENTS, "web")
    await user.insist_on(config, {"metadata": {}})
    await user.insist_on(pod, {"metadata": {}, "spec": pod_spec(config="settings", secret="password")})
    await user.insist_on(secret, {"metadata": {}})
    await user.insist_on(web, deployment(1, pod_spec(config="settings"), "web"))
    await asyncio.sleep(1.0)
    await user.insist(partial(user.update, config, {}))
    await user.insist_on_absence(pod)
    await user.insist_on_absence(secret)
    await user.insist(partial(user.update, web, {"spec": {"replicas": 2}}))
    await asyncio.sleep(3.0)


async def disturbed(seed: int, at: int, fault: Fault) -> list[str]:
    """Run the scenario with ``fault`` at step ``at`` and return the steps there were."""
    async with fleet(seed, edges=1) as one:
        user = User(lambda: one.cloud.client, "default", one.rng)
        await one.settle(partial(judge, one))
        trap = Trap(one, at, fault)
        trap.set()
        await make_and_change(user)
        await one.settle(partial(judge, one, [user]), within_s=600.0)
        trap.clear()
        return trap.steps


async def at_every_step(seed: int, *, fault: Fault, of: str = "") -> None:
    """Run the scenario once to count its steps, and once for each whose name contains ``of``."""
    steps = await disturbed(seed, 0, fault)
    assert any(of in step for step in steps), steps
    for at, step in enumerate(steps, 1):
        if of in step:
            try:
                await disturbed(seed, at, fault)
            except BaseException as failure:
                failure.add_note(f"{getattr(fault, '__name__', fault)} at step {at}, {step}")
                raise


def test_the_owner_of_each_step_crashes_there() -> None:
    run_seeded(1, partial(at_every_step, fault=crash_owner))


def test_the_other_side_crashes_while_a_frame_is_sent_to_it() -> None:
    run_seeded(1, partial(at_every_step, fault=crash_edges, of="CloudSite send"))
    run_seeded(1, partial(at_every_step, fault=crash_cloud, of="EdgeSite send"))


def test_the_link_is_cut_before_each_frame() -> None:
    run_seeded(1, partial(at_every_step, fault=cut_links, of="send"))
