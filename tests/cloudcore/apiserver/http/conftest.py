from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from protocol.objects.keys import NodeName, ObjectKey
from tests.support.apiservers import RunningServer, serving


class Slices:
    """A source of slices that a test fills."""

    def __init__(self) -> None:
        self.held: set[tuple[str, ObjectKey]] = set()

    def contains(self, node: NodeName, key: ObjectKey) -> bool:
        return (node, key) in self.held


@pytest.fixture
def slices() -> Slices:
    return Slices()


@pytest.fixture
def readiness() -> dict[str, str]:
    """What is wrong, by check."""
    return {"store": ""}


@pytest.fixture
async def server(tmp_path: Path, slices: Slices, readiness: dict[str, str]) -> AsyncIterator[RunningServer]:
    checks = {"store": lambda: readiness["store"]}
    async with serving(tmp_path, slice_contains=slices.contains, readiness=checks, max_in_flight=50) as running:
        yield running


@pytest.fixture
async def admin(server: RunningServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with server.session() as session:
        yield session


@pytest.fixture
async def node(server: RunningServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with server.session("system:node:edge-1", "system:nodes") as session:
        yield session


@pytest.fixture
async def anonymous(server: RunningServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with server.anonymous_session() as session:
        yield session


@pytest.fixture
async def nobody(server: RunningServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A user without any role."""
    async with server.session("someone", "some-group") as session:
        yield session
