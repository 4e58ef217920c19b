"""An object deleted and made again under the same name, at every point of a redelivery, ends as the new one alone."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from protocol.objects.keys import Body
from tests.support.fleets import CALM, Fleet, Site, Weather, fleet
from tests.support.judging import judge
from tests.support.replays import run_seeded
from tests.support.simulatedusers import CONFIG_MAPS, PODS, SECRETS, User, pod_spec
from tests.support.traps import Fault, Trap, crash_cloud, crash_edges, cut_links

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SLOW = Weather(delay_s=(0.05, 0.05))
"""So slow that a replacement falls between the frames and commits of a delivery."""


async def no_fault(_fleet: Fleet, _site: Site) -> bool:
    return False


FAULTS: dict[str, Fault] = {
    "nothing": no_fault,
    "link-cut": cut_links,
    "edge-crashed": crash_edges,
    "cloud-crashed": crash_cloud,
}


class Objects:
    """A pod that is deleted with grace, one that is deleted by force, a ConfigMap and a Secret that a third reads."""

    def __init__(self, user: User) -> None:
        self._user = user
        pod: Body = {"metadata": {}, "spec": pod_spec()}
        self._bodies = {
            user.key(PODS, "graceful"): (pod, None),
            user.key(PODS, "forced"): (pod, 0),
            user.key(CONFIG_MAPS, "settings"): ({"metadata": {}}, None),
            user.key(SECRETS, "password"): ({"metadata": {}}, None),
        }

    async def reader(self) -> None:
        spec = pod_spec(config="settings", secret="password")
        await self._user.insist_on(self._user.key(PODS, "reader"), {"metadata": {}, "spec": spec})

    async def make(self) -> None:
        for key, (body, _) in self._bodies.items():
            await self._user.insist_on(key, body)

    async def replace(self) -> None:
        for key, (_, grace_s) in self._bodies.items():
            await self._user.insist_on_absence(key, grace_s=grace_s)
        await self.make()


async def disturbed(seed: int, at: int, *, fault: Fault, redelivery: bool) -> list[str]:
    """Replace the objects and let ``fault`` strike, at step ``at``; return the steps there were."""
    async with fleet(seed, edges=1) as one:
        user = User(lambda: one.cloud.client, "default", one.rng)
        (edge,) = one.edges.values()
        objects, replaced = Objects(user), asyncio.Event()
        await objects.reader()
        await asyncio.sleep(5.0)
        edge.weather = SLOW

        async def replace() -> None:
            await objects.replace()
            replaced.set()

        async def strike(_: Fleet, site: Site) -> bool:
            if redelivery:
                one.spawn(replace(), "replacement")
            return await fault(one, site)

        trap = Trap(one, at, strike)
        await objects.make()
        if redelivery:
            await asyncio.sleep(0.03)  # sent, and not arrived
            edge.cut()
            trap.set()
        else:
            await asyncio.sleep(5.0)
            trap.set()
            one.spawn(replace(), "replacement")
        await asyncio.sleep(5.0)
        steps = list(trap.steps)
        edge.weather = CALM
        if at or not redelivery:
            await replaced.wait()
        await one.settle(partial(judge, one, [user]), within_s=600.0)
        trap.clear()
        return steps


async def at_every_step(seed: int, *, fault: Fault, redelivery: bool) -> None:
    steps = await disturbed(seed, 0, fault=fault, redelivery=redelivery)
    assert sum("commit" in step for step in steps) > 2, steps
    assert sum("send" in step for step in steps) > 4, steps
    for at, step in enumerate(steps, 1):
        try:
            await disturbed(seed, at, fault=fault, redelivery=redelivery)
        except BaseException as failure:
            failure.add_note(f"at step {at}, {step}")
            raise


@pytest.mark.parametrize("fault", FAULTS)
def test_made_again_at_every_step_of_a_redelivery(fault: str) -> None:
    run_seeded(1, partial(at_every_step, fault=FAULTS[fault], redelivery=True))


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "nothing"])
def test_disturbed_at_every_step_of_the_replacement(fault: str) -> None:
    run_seeded(1, partial(at_every_step, fault=FAULTS[fault], redelivery=False))
