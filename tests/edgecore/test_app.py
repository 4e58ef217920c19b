"""The agent as a process, on a folder whose cloud is not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgecore.node.identity import DataFolder
from tests.support.enrolments import PlayedEnrolment
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

HEAVY = ("typer", "rich", "pydantic", "pydantic_settings", "cryptography", "aiohttp", "yaml")


class Process:
    """An ``edgecore run`` and what it logs."""

    def __init__(self, folder: DataFolder, *flags: str) -> None:
        command = [sys.executable, "-c", "from edgecore.cli import main; main()", "run", "-d", str(folder.root), *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines += iter(self.process.stderr.readline, "")

    def logged(self, event: str) -> dict[str, Any] | None:
        for line in list(self.lines):
            if line.startswith("{") and (entry := json.loads(line))["event"] == event:
                return dict(entry)
        return None

    def wait_for(self, event: str) -> dict[str, Any]:
        found = eventually(lambda: self.logged(event), what=f"{event!r} was not logged: {self.lines}")
        assert found is not None
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(30)
        self._reader.join(10)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "edge")
    with PlayedEnrolment(tmp_path).running() as cloud:
        command = [sys.executable, "-c", "from edgecore.cli import main; main()", "join", "-d", str(folder.root)]
        flags = ["--server", cloud.url, "--token", cloud.token(), "--node-name", "edge-1"]
        subprocess.run([*command, *flags], check=True, capture_output=True)
    return folder


@pytest.fixture
def agent(folder: DataFolder) -> Iterator[Process]:
    process = Process(folder, "--hub", "wss://127.0.0.1:1", "--log-level", "debug")
    yield process
    process.close()


def test_it_lives_without_its_cloud_and_says_so(agent: Process, folder: DataFolder) -> None:
    offline = agent.wait_for("offline, pods keep running")
    assert "127.0.0.1:1" in offline["cause"]
    recorded = json.loads(folder.link.read_text())
    assert recorded["phase"] in ("offline", "connecting")
    assert agent.end() == 0
    assert agent.logged("agent stopped") is not None


def test_one_agent_per_data_folder(agent: Process, folder: DataFolder) -> None:
    agent.wait_for("agent started")
    second = Process(folder)
    assert second.process.wait(30) == 2
    second._reader.join(10)
    assert second.lines == [f"edgecore: another agent (pid {agent.process.pid}) runs on {folder.root}\n"]
    second.close()


def test_a_killed_agent_leaves_no_lock(agent: Process, folder: DataFolder) -> None:
    agent.wait_for("agent started")
    agent.end(signal.SIGKILL)
    again = Process(folder, "--hub", "wss://127.0.0.1:1")
    again.wait_for("agent started")
    assert again.end() == 0
    again.close()


def test_hangup_reads_the_log_settings_again(agent: Process, folder: DataFolder) -> None:
    agent.wait_for("agent started")
    (folder.root / "edgecore.yaml").write_text("log_format: json\n")
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_for("settings reloaded")
    (folder.root / "edgecore.yaml").write_text("log_format: [\n")
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_for("settings not reloaded")
    assert agent.end() == 0


def test_the_daemon_loads_nothing_heavy() -> None:
    """The daemon's own figure is taken by the benchmarks; this only keeps the heavy libraries out."""
    loaded = (
        "import sys; from edgecore.__main__ import main; main();"
        "print([name for name in sys.argv[1:] if sys.modules.get(name)])"
    )
    answer = subprocess.run([sys.executable, "-c", loaded, *HEAVY], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_the_module_alone_says_how_to_start_it() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EDGECORE_")}
    command = [sys.executable, "-m", "edgecore"]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (answer.returncode, answer.stderr) == (2, "edgecore: start the agent with `edgecore run`\n")
