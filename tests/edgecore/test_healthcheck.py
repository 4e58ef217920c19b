from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edgecore import healthcheck
from edgecore.live import telling
from edgecore.node.identity import DataFolder


async def test_an_agent_is_well_while_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECORE_DATA_DIR", str(tmp_path))
    async with telling(DataFolder(tmp_path).live, lambda: {"state": "cut off"}):
        assert await asyncio.to_thread(healthcheck.main) == 0
    assert await asyncio.to_thread(healthcheck.main) == 1
