from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from edgecore import config
from edgecore.settings import AgentSettings, settings_from
from protocol.errors import UsageError


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config.Settings.model_fields:
        monkeypatch.delenv(f"EDGECORE_{name.upper()}", raising=False)


def test_flags_win_over_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edgecore.yaml").write_text("max_pods: 1\nstatus_s: 11\nlog_level: debug\n")
    monkeypatch.setenv("EDGECORE_MAX_PODS", "2")
    monkeypatch.setenv("EDGECORE_STATUS_S", "22")
    settings = config.load({"data_dir": str(tmp_path), "max_pods": 3}, None)
    assert (settings.max_pods, settings.status_s, settings.log_level) == (3, 22.0, "debug")


def test_the_daemon_gets_what_was_resolved(tmp_path: Path) -> None:
    settings = config.load({"data_dir": str(tmp_path), "hub": "wss://a:1, wss://b:2"}, None)
    handed = settings_from(json.loads(settings.model_dump_json()))
    assert handed == AgentSettings(data_dir=tmp_path, hub=("wss://a:1", "wss://b:2"))


def test_every_setting_of_the_daemon_is_one_of_the_command_line() -> None:
    assert set(config.Settings.model_fields) == set(AgentSettings.__dataclass_fields__)


def test_every_setting_is_documented() -> None:
    assert all(field.description for field in config.Settings.model_fields.values())


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({}, "--data-dir is needed"),
        ({"max_pods": 0}, "max_pods"),
        ({"log_level": "loud"}, "log_level"),
        ({"hub": "http://x"}, "wss://HOST:10000"),
        ({"colour": "red"}, "unknown setting 'colour'"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path, flags: dict[str, object], says: str) -> None:
    flags = {"data_dir": str(tmp_path), **flags} if flags else flags
    with pytest.raises(UsageError, match=says) as raised:
        config.load(flags, None)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "edgecore.yaml").write_text("a: [1\nb")
    with pytest.raises(UsageError, match="cannot be read") as raised:
        config.load({"data_dir": str(tmp_path)}, None)
    assert "\n" not in str(raised.value)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        config.load({"data_dir": str(tmp_path)}, tmp_path / "none.yaml")


def test_it_resolves_for_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "edgecore.yaml").write_text("log_level: warning\n")
    request = {"flags": {"data_dir": str(tmp_path)}, "file": ""}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(request)))
    config.main()
    assert settings_from(json.loads(capsys.readouterr().out)).log_level == "warning"


def test_it_complains_to_the_daemon_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = {"flags": {"data_dir": str(tmp_path), "max_pods": -1}, "file": ""}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(request)))
    with pytest.raises(SystemExit, match="2"):
        config.main()
    assert capsys.readouterr().err.count("\n") == 1


def test_runtimes_are_listed_once_each_in_their_order(tmp_path: Path) -> None:
    settings = config.load({"data_dir": str(tmp_path), "runtimes": "docker, process,docker"}, None)
    assert settings_from(json.loads(settings.model_dump_json())).runtimes == ("docker", "process")


def test_eviction_thresholds_are_checked_before_the_agent_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'memory\.free' is no signal") as caught:
        config.load({"data_dir": tmp_path, "eviction_hard": "memory.free<5Mi"}, None)
    assert "\n" not in str(caught.value)
    assert config.load({"data_dir": tmp_path, "eviction_hard": "none"}, None).eviction_hard == "none"
