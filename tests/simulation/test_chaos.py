"""Users and disorder let loose on a fleet; in peace again, everything must have come out right."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.chaos import chaos
from tests.support.fleets import fleet
from tests.support.judging import judge
from tests.support.replays import run_seeded, seeds

pytestmark = pytest.mark.timeout(600)

NEVER = 1e12


async def disturbed(seed: int, *, edges: int, for_s: float, every_s: float) -> None:
    """Disturb a fleet for ``for_s`` virtual seconds, with a fault every ``every_s`` on average, and judge it."""
    async with fleet(seed, edges=edges) as one:
        users = await chaos(one, for_s=for_s, every_s=every_s)
        await one.settle(partial(judge, one, users))


def test_in_peace_all_is_delivered() -> None:
    run_seeded(1, partial(disturbed, edges=2, for_s=60.0, every_s=NEVER))


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(8))
def test_a_few_edges(seed: int) -> None:
    run_seeded(seed, partial(disturbed, edges=3, for_s=300.0, every_s=6.0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(2))
def test_two_dozen_edges(seed: int) -> None:
    run_seeded(seed, partial(disturbed, edges=24, for_s=200.0, every_s=1.0))
