from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.apiservers import RunningServer, serving
from tests.support.kubectl import Kubectl


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """Run an API server over an empty store."""
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
def kubectl(server: RunningServer, tmp_path: Path) -> Kubectl:
    """Return an administrator's kubectl of ``server``."""
    return Kubectl(server.kubeconfig(), tmp_path)
