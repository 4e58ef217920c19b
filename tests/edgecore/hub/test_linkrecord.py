from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from edgecore.hub.client import LinkState, Phase
from edgecore.hub.linkrecord import WRITE_AGAIN_S, LinkRecord

pytestmark = pytest.mark.looptime

OFFLINE = LinkState(Phase.OFFLINE, reason="cut", retry_in_s=1.04)
CONNECTED = LinkState(Phase.CONNECTED, address="10.0.0.1:10000")


def recorded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


async def test_the_newest_state_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "link.json"
    record = LinkRecord(path, lambda: 1_800_000_000.0)
    record.note(OFFLINE)
    assert recorded(path) | {"retryInSeconds": 1.0, "since": 1_800_000_000.0} == recorded(path)
    record.note(CONNECTED)
    assert (recorded(path)["phase"], recorded(path)["address"]) == (Phase.CONNECTED, "10.0.0.1:10000")


async def test_what_the_disk_refuses_is_written_when_it_takes_writes_again(tmp_path: Path) -> None:
    """Else a node that connected while its disk was full would be shown as offline until the next cut."""
    path = tmp_path / "data" / "link.json"
    path.parent.touch()  # in the folder's place: nothing can be written there
    record = LinkRecord(path, lambda: 1_800_000_000.0)
    record.note(OFFLINE)
    record.note(CONNECTED)
    await asyncio.sleep(WRITE_AGAIN_S + 0.1)
    path.parent.unlink()
    await asyncio.sleep(WRITE_AGAIN_S)
    assert recorded(path)["phase"] == Phase.CONNECTED
