from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecore import cli, local
from edgecore.meta.sqlite import SqliteEngine
from edgecore.meta.store import MetaStore
from edgecore.node.identity import DataFolder, Identity, save_identity
from edgecore.settings import RESOLVED, receive
from protocol.filelock import FileLock
from protocol.objects.keys import NodeName, Uid
from tests.support.enrolments import PlayedEnrolment
from tests.support.slices import put

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def edgecore(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; returns exit status, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["edgecore", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
async def joined(tmp_path: Path) -> DataFolder:
    """A data folder that has been joined and has run two pods."""
    folder = DataFolder(tmp_path / "edge")
    folder.make()
    hub = {"websocket": ("wss://127.0.0.1:10000",)}
    save_identity(folder, Identity(NodeName("edge-1"), "instance-1", "https://cloud:10002", hub))
    store = MetaStore(SqliteEngine(folder.meta), NodeName("edge-1"))
    await store.begin_session(3, "inc-1", equal=True)
    spec = {"containers": [{"name": "main"}]}
    await store.apply([put("web", 5, spec=spec), put("fresh", 6, spec=spec)], 3)
    status = {
        "phase": "Running",
        "startTime": "2026-01-01T00:00:00Z",
        "containerStatuses": [
            {"name": "main", "ready": False, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
        ],
    }
    await store.pod_status("default", "web", Uid("uid-web"), status)
    await store.close()
    return folder


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["join", "--data-dir", "E", "--server", "http://x", "--token", "t", "--node-name", "n"], "https://HOST:10002"),
        (["join", "--data-dir", "E", "--server", "https://x", "--token", "t", "--node-name", "n"], "malformed"),
        (["join", "--data-dir", "E", "--server", "https://x", "--node-name", "n"], "--token-file"),
        (
            ["join", "-d", "E", "--server", "https://x", "--token-file", "/none", "--node-name", "n"],
            "cannot read the token",
        ),
        (
            ["join", "-d", "E", "--server", "https://x", "--token", "t", "--node-name", "n", "--label", "k"],
            "write k=v",
        ),
        (
            ["join", "-d", "E", "--server", "https://x", "--token", "t", "--node-name", "n", "--runtime", "magic"],
            "magic",
        ),
        (["run"], "--data-dir is needed"),
        (["run", "--data-dir", "E", "--max-pods", "0"], "max_pods"),
        (["run", "--data-dir", "E", "--runtimes", "process,magic"], "magic"),
        (["run", "--data-dir", "E", "--docker-host", "/run/docker.sock"], "unix:///var/run/docker.sock"),
        (["status", "--data-dir", "E"], "run `edgecore join` first"),
        (["pods", "--data-dir", "E"], "run `edgecore join` first"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    edgecore: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGECORE_DATA_DIR", raising=False)
    status, out, err = edgecore(*arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["fly"], ["join"], ["status", "--data-dir"], ["pods", "-d", "E", "-o", "xml"]])
def test_unknown_commands_and_missing_flags_are_status_2(edgecore: Run, arguments: list[str]) -> None:
    assert edgecore(*arguments)[0] == 2


def test_join_tells_how_to_go_on(edgecore: Run, tmp_path: Path) -> None:
    data_dir = tmp_path / "edge"
    with PlayedEnrolment(tmp_path).running() as cloud:
        (tmp_path / "token").write_text(cloud.token() + "\n")
        status, out, _ = edgecore(
            *("join", "-d", str(data_dir), "--server", cloud.url, "--node-name", "edge-1"),
            *("--token-file", str(tmp_path / "token"), "--label", "site=hall-3", "--label", "row=2"),
        )
        assert cloud.requests[0]["labels"].items() >= {"site": "hall-3", "row": "2"}.items()
    assert status == 0
    assert f"edgecore run --data-dir {data_dir}" in out


@pytest.mark.parametrize(
    ("answers", "flags", "runtimes"),
    [
        (False, [], ["process"]),
        (True, [], ["process", "docker"]),
        (True, ["--runtime", "process"], ["process"]),
        (False, ["--runtime", "docker", "--runtime", "process"], ["docker", "process"]),
    ],
)
def test_join_offers_docker_where_it_answers(
    edgecore: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool, flags: list[str], runtimes: list[str]
) -> None:
    monkeypatch.setattr("edgecore.node.runtimes.docker_answers", lambda address: answers)
    with PlayedEnrolment(tmp_path).running() as cloud:
        data_dir = str(tmp_path / "edge")
        place = ("--server", cloud.url, "--node-name", "edge-1", "--token", cloud.token())
        status, out, _ = edgecore("join", "-d", data_dir, *place, *flags)
        assert (status, cloud.requests[0]["runtimes"]) == (0, runtimes)
        assert ("found a Docker Engine" in out) is (answers and not flags)


def test_a_refused_join_is_one_line_and_status_1(edgecore: Run, tmp_path: Path) -> None:
    with PlayedEnrolment(tmp_path).running() as cloud:
        cloud.refuse(401, "TokenUsed", "redeemed yesterday")
        status, _, err = edgecore(
            *("join", "-d", str(tmp_path / "edge"), "--server", cloud.url, "--node-name", "edge-1"),
            *("--token", cloud.token()),
        )
    assert status == 1
    assert "used by another device" in err
    assert err.count("\n") == 1


def test_run_becomes_the_daemon_with_its_settings_in_the_environment(
    edgecore: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Executed(SystemExit):
        pass

    seen: list[list[str]] = []

    def execv(_path: str, arguments: list[str]) -> None:
        seen.append(arguments)
        raise Executed(0)

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setenv(RESOLVED, "")  # so that what the command sets is taken back after the test
    assert edgecore("run", "--data-dir", str(tmp_path), "--stop-pods", "--log-level", "debug")[0] == 0
    handed = receive(os.environ)
    assert seen[0][1:] == ["-m", "edgecore"]
    assert (handed.settings.data_dir, handed.settings.stop_pods, handed.settings.log_level) == (tmp_path, True, "debug")
    assert handed.flags == {"data_dir": str(tmp_path), "stop_pods": True, "log_level": "debug"}


def test_status_is_read_from_the_folder_alone(edgecore: Run, joined: DataFolder) -> None:
    status, out, _ = edgecore("status", "-d", str(joined.root), "-o", "json")
    shown: dict[str, Any] = json.loads(out)
    assert status == 0
    assert shown["node"] == "edge-1"
    assert shown["agent"] == {"running": False, "pid": None}
    assert shown["link"]["phase"] == "stopped"
    assert (shown["inStepOnce"], shown["pods"], shown["owed"], shown["epoch"]) == (True, 2, 1, 3)


@pytest.mark.parametrize(
    ("recorded", "line"),
    [
        ({"phase": "connected", "address": "10.0.0.1:10000", "since": 880.0}, "connected to 10.0.0.1:10000 for 2m"),
        ({"phase": "offline", "since": 990.0, "retryInSeconds": 25.0}, "offline, next try in 15s"),
        ({"phase": "offline", "since": 990.0, "retryInSeconds": 2.0}, "offline, next try in 0s"),
        ({"phase": "connecting", "since": 997.0}, "connecting for 3s"),
        ({}, "unknown"),
    ],
)
def test_the_links_line_while_the_agent_runs(
    edgecore: Run, joined: DataFolder, monkeypatch: pytest.MonkeyPatch, recorded: dict[str, Any], line: str
) -> None:
    monkeypatch.setattr(local, "wall_clock", lambda: 1000.0)
    joined.link.write_text(json.dumps(recorded))
    with FileLock(joined.lock):
        out = edgecore("status", "-d", str(joined.root))[1]
    fields = dict(row.split(maxsplit=1) for row in out.splitlines() if not row.startswith(" "))
    assert fields["link"].strip() == line
    assert fields["agent"].strip() == f"running, pid {os.getpid()}"
    assert fields["owed"].strip() == "1 report waits for the cloud"


def test_the_help_of_run_names_the_defaults(edgecore: Run) -> None:
    out = edgecore("run", "--help")[1]
    assert "(default: 110)" in " ".join(out.replace("│", " ").split())
    assert "Undefined" not in out


def test_status_tells_why_the_cloud_refused(edgecore: Run, joined: DataFolder) -> None:
    joined.link.write_text(json.dumps({"phase": "refused", "reason": "this node was deleted in the cloud"}))
    assert "this node was deleted" in edgecore("status", "-d", str(joined.root))[1]


def test_pods_show_what_should_run_and_how_it_does(edgecore: Run, joined: DataFolder) -> None:
    rows = json.loads(edgecore("pods", "-d", str(joined.root), "-o", "json")[1])
    fresh, web = rows
    assert (fresh["name"], fresh["status"], fresh["ready"], fresh["ageSeconds"]) == ("fresh", "Pending", "0/1", None)
    assert (web["name"], web["status"], web["restarts"]) == ("web", "CrashLoopBackOff", 4)
    assert not web["reported"]


def test_pods_as_a_table(edgecore: Run, joined: DataFolder) -> None:
    out = edgecore("pods", "-d", str(joined.root))[1]
    assert "NAMESPACE" in out
    assert "CrashLoopBackOff" in out


def test_a_folder_that_never_ran_shows_no_pods(edgecore: Run, joined: DataFolder) -> None:
    for each in joined.meta.parent.iterdir():
        each.unlink()
    assert "No pods" in edgecore("pods", "-d", str(joined.root))[1]


def test_a_broken_identity_is_one_line(edgecore: Run, joined: DataFolder) -> None:
    joined.identity.write_text("{}")
    status, _, err = edgecore("status", "-d", str(joined.root))
    assert status == 2
    assert "join again" in err
