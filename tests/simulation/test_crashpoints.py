"""One short scenario, run once per step of it with a fault exactly there: the same end each time."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.support.fleets import CALM, EdgeSite, Weather, fleet
from tests.support.judging import judge
from tests.support.replays import run_seeded
from tests.support.simulatedusers import CONFIG_MAPS, DEPLOYMENTS, PODS, SECRETS, User, deployment, pod_spec
from tests.support.traps import Fault, Trap, crash_cloud, crash_edges, crash_owner, cut_links

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


SLOW = Weather(delay_s=(0.2, 0.2))
"""So slow that a report is superseded while the one before is still under way."""


async def make_and_change(user: User, edge: EdgeSite) -> None:
    """Make, change and remove one of each, all of it acknowledged; programs fail, one just after the other."""
    config, secret = user.key(CONFIG_MAPS, "settings"), user.key(SECRETS, "password")
    pod, web = user.key(PODS, "single"), user.key(DEPLOYMENTS, "web")
    await user.insist_on(config, {"metadata": {}})
    await user.insist_on(pod, {"metadata": {}, "spec": pod_spec(config="settings", secret="password")})
    await user.insist_on(secret, {"metadata": {}})
    await user.insist_on(web, deployment(1, pod_spec(config="settings", helper=True), "web"))
    await asyncio.sleep(1.5)
    for name in ("main", "helper"):
        for container in [one for one in edge.host.running() if one.name == name]:
            edge.host.die(container)
        await asyncio.sleep(0.35)
    await user.insist(partial(user.update, config, {}))
    await user.insist_on_absence(pod)
    await user.insist_on_absence(secret)
    await user.insist(partial(user.update, web, {"spec": {"replicas": 2}}))
    await asyncio.sleep(3.0)


async def disturbed(seed: int, at: int, fault: Fault, weather: Weather) -> list[str]:
    """Run the scenario with ``fault`` at step ``at`` and return the steps there were."""
    async with fleet(seed, edges=1) as one:
        user = User(lambda: one.cloud.client, "default", one.rng)
        await one.settle(partial(judge, one))
        one.edges["edge-0"].weather = weather
        trap = Trap(one, at, fault)
        trap.set()
        await make_and_change(user, one.edges["edge-0"])
        one.edges["edge-0"].weather = CALM
        await one.settle(partial(judge, one, [user]), within_s=600.0)
        trap.clear()
        return trap.steps


async def at_every_step(seed: int, *, fault: Fault, of: str = "", weather: Weather = CALM) -> None:
    """Run the scenario once to count its steps, and once for each whose name contains ``of``."""
    steps = await disturbed(seed, 0, fault, weather)
    assert any(of in step for step in steps), steps
    for at, step in enumerate(steps, 1):
        if of in step:
            try:
                await disturbed(seed, at, fault, weather)
            except BaseException as failure:
                failure.add_note(f"{getattr(fault, '__name__', fault)} at step {at}, {step}")
                raise


def test_the_owner_of_each_step_crashes_there() -> None:
    run_seeded(1, partial(at_every_step, fault=crash_owner))


def test_the_other_side_crashes_while_a_frame_is_sent_to_it() -> None:
    run_seeded(1, partial(at_every_step, fault=crash_edges, of="CloudSite send"))
    run_seeded(1, partial(at_every_step, fault=crash_cloud, of="EdgeSite send"))


@pytest.mark.parametrize("weather", [CALM, SLOW], ids=["calm", "slow"])
def test_the_link_is_cut_before_each_frame(weather: Weather) -> None:
    run_seeded(1, partial(at_every_step, fault=cut_links, of="send", weather=weather))
