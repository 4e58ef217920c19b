from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from edgecore.live import ask, telling


async def test_what_the_agent_tells_is_heard_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    async with telling(path, lambda: {"digest": "1a2b3c4d"}):
        assert path.stat().st_mode & 0o777 == 0o600
        assert await asyncio.to_thread(ask, path) == {"digest": "1a2b3c4d"}
    assert not path.exists()
    assert ask(path) == {}


async def test_a_socket_left_behind_by_a_crash_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with telling(path, lambda: {"a": 1}):
        assert await asyncio.to_thread(ask, path) == {"a": 1}


async def test_a_deep_folder_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 10)
    folder.mkdir(parents=True)
    async with telling(folder / "agent.sock", lambda: {"a": 1}):
        assert await asyncio.to_thread(ask, folder / "agent.sock") == {"a": 1}


async def test_where_no_socket_can_be_the_agent_runs_without(tmp_path: Path) -> None:
    async with telling(tmp_path / "not there" / "agent.sock", dict):
        assert ask(tmp_path / "not there" / "agent.sock") == {}


def test_something_else_than_an_answer_is_none(tmp_path: Path) -> None:
    (tmp_path / "agent.sock").write_text("a file")
    assert ask(tmp_path / "agent.sock") == {}
