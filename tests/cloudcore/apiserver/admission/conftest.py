from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest

from cloudcore.apiserver.admission import Limits, admission_chain
from cloudcore.apiserver.bootstrap import bootstrap
from cloudcore.apiserver.registry import Registry
from tests.support.registries import ManualClock, make_registry


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def backlog() -> list[int]:
    """One element: how many pods wait in the scheduler's queue."""
    return [0]


@pytest.fixture
async def registry(clock: ManualClock, limits: Limits, backlog: list[int]) -> AsyncIterator[Registry]:
    """A registry with the whole chain, and what exists from the first run."""
    made = make_registry(admission_chain(limits, lambda: backlog[0], rng=Random(1)), clock)
    await bootstrap(made)
    yield made
    await made.store.close()
