from __future__ import annotations

from pathlib import Path

import pytest

from cloudcore.config import default_names, load
from protocol.errors import UsageError


def test_flags_stand_above_environment_above_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cloudcore.yaml").write_text("api_port: 1001\nws_port: 1002\nenrol_port: 1003\n")
    monkeypatch.setenv("CLOUDCORE_API_PORT", "2001")
    monkeypatch.setenv("CLOUDCORE_WS_PORT", "2002")
    settings = load({"data_dir": tmp_path, "api_port": 3001}, None)
    assert (settings.api_port, settings.ws_port, settings.enrol_port) == (3001, 2002, 1003)
    assert settings.metrics_port == 9091


def test_a_port_that_was_asked_for_is_known_as_such(tmp_path: Path) -> None:
    settings = load({"data_dir": tmp_path, "api_port": 6443}, None)
    assert settings.explicit_ports == {"api_port"}


def test_advertised_names_are_split_at_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDCORE_ADVERTISE", "cloud.example, 192.0.2.7")
    assert load({"data_dir": tmp_path}, None).names == ["cloud.example", "192.0.2.7"]


def test_an_empty_variable_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "ADVERTISE", "API_PORT", "LINK__MIN_BYTES", "STORE"):
        monkeypatch.setenv(f"CLOUDCORE_{name}", "")
    settings = load({"data_dir": tmp_path}, None)
    assert settings.kubeconfig is None
    assert (settings.api_port, settings.store, settings.explicit_ports) == (6443, "sqlite", frozenset())
    assert settings.names


def test_names_are_never_empty() -> None:
    assert "localhost" in default_names("0.0.0.0")
    assert default_names("127.0.0.1") == ["127.0.0.1", "localhost"]
    assert default_names("192.0.2.7")[0] == "192.0.2.7"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "--data-dir is needed"),
        ({"data_dir": ".", "kubeconfig": "x"}, "kubeconfig goes with store kubernetes"),
        ({"data_dir": ".", "store": "etcd"}, "setting store: .*'sqlite' or 'kubernetes'"),
        ({"data_dir": ".", "api_port": 70000}, "setting api_port: .*less than or equal to 65535"),
        ({"data_dir": ".", "listen": "everywhere"}, "setting listen: .*IP address"),
        ({"data_dir": ".", "advertise": "https://cloud.example"}, "setting advertise: host names .* without scheme"),
        ({"data_dir": ".", "advertise": "ok.example,cloud.example:6443"}, "setting advertise: host names"),
        ({"data_dir": ".", "advertise": "a" * 5000}, r"setting advertise: host names .{0,200}$"),
        ({"data_dir": ".", "otlp_endpoint": "127.0.0.1:4318"}, "setting otlp_endpoint: a URL such as"),
        ({"data_dir": ".", "link_min_bytes": 99_999}, r"setting link: min_bytes \(99999\) is more than"),
        ({"data_dir": ".", "node_grace_s": 15}, r"node_grace_s \(15\) must be at least twice heartbeat_s \(10\)"),
        ({"data_dir": ".", "log_level": "loud"}, "setting log_level: .*'debug', 'info'"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    flags: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message) as raised:
        load(flags, None)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["api_port: [", "- just\n- a list\n", "\x00", "1: 2\n", "text"])
def test_an_unreadable_file_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "cloudcore.yaml").write_text(content)
    with pytest.raises(UsageError, match=r"cloudcore\.yaml cannot be read") as raised:
        load({"data_dir": tmp_path}, None)
    assert "\n" not in str(raised.value)


def test_an_unknown_key_in_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cloudcore.yaml").write_text("api_prot: 1\n")
    with pytest.raises(UsageError, match="unknown setting 'api_prot'"):
        load({"data_dir": tmp_path}, None)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load({"data_dir": tmp_path}, tmp_path / "absent.yaml")
