from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from tests.support.registries import ManualClock, make_registry


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def registry(clock: ManualClock) -> AsyncIterator[Registry]:
    """A registry without admission: what the verbs do by themselves."""
    made = make_registry(clock=clock)
    yield made
    await made.store.close()


@pytest.fixture
def client(registry: Registry) -> LocalClient:
    return LocalClient(registry)
