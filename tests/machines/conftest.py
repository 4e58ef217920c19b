"""Machines for the tests. Booting and installing take a while, so one serves a whole module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.machines.devices import Device, device
from tests.machines.images import Image, build, missing


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    why = missing()
    if why:
        pytest.skip(why)
    return build(tmp_path_factory.mktemp("image"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(image: Image, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Device]:
    """Run a machine on which the project's wheel is installed, and nothing of it runs; and a cloud."""
    async with device(image, tmp_path_factory.mktemp("machine")) as made:
        yield made
