from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from protocol import services
from protocol.errors import UsageError
from protocol.services import Service, install, require_systemd

EDGE = Service("edgecore", Path("/opt/venv/bin/python"), Path("/srv/edge"))
CLOUD = Service("cloudcore", Path("/opt/venv/bin/python"), Path("/srv/cloud"), "kube")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a machine whose systemctl writes down what it is asked."""
    (tmp_path / "units").mkdir()
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    refusal = tmp_path / "refusal"
    systemctl.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n[ ! -e {refusal} ] || {{ cat {refusal} >&2; exit 5; }}\n'
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(services, "UNITS", tmp_path / "units")
    monkeypatch.setattr(services, "RUNNING", tmp_path / "units")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def settings_of(unit: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def test_a_service_is_written_enabled_and_started(systemd: Path) -> None:
    path = install(EDGE)
    assert path == systemd / "units" / "edgecore.service"
    assert path.read_text() == EDGE.unit()
    assert path.stat().st_mode & 0o777 == 0o644
    asked = (systemd / "asked").read_text().splitlines()
    assert asked == ["daemon-reload", "enable edgecore.service", "restart edgecore.service"]


def test_a_refusal_of_systemd_is_told(systemd: Path) -> None:
    (systemd / "refusal").write_text("Unit is masked.\n")
    with pytest.raises(UsageError, match=r"systemctl daemon-reload: Unit is masked\."):
        install(EDGE)


def test_without_systemd_or_root_nothing_is_begun(systemd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="needs root"):
        require_systemd()
    monkeypatch.setattr(services, "RUNNING", systemd / "nothing")
    with pytest.raises(UsageError, match="systemd does not run here"):
        install(EDGE)
    assert not (systemd / "asked").exists()


def test_pods_inherit_nothing_from_the_agents_unit() -> None:
    settings = settings_of(EDGE.unit())
    assert (settings["KillMode"], settings["Delegate"]) == ("process", "yes")
    inherited = ("Protect", "Private", "Restrict", "SystemCall", "NoNewPriv", "Capability", "UMask", "User", "ReadOnly")
    assert not [name for name in settings if name.startswith(inherited)]


def test_the_cloud_is_confined_to_its_folder() -> None:
    settings = settings_of(CLOUD.unit())
    assert settings["User"] == "kube"
    assert settings["ReadWritePaths"] == '"/srv/cloud"'
    assert (settings["ProtectSystem"], settings["NoNewPrivileges"], settings["CapabilityBoundingSet"]) == (
        "strict",
        "yes",
        "",
    )


def test_what_systemd_would_replace_is_hidden_from_it() -> None:
    unit = Service("edgecore", Path("/venv/bin/python"), Path("/srv/50 %")).unit()
    assert '--data-dir "/srv/50 %%"' in unit


@pytest.mark.parametrize("name", ['a"b', "a\nExecStartPre=/bin/evil", "a\\b", "a$b"])
def test_a_path_cannot_add_settings(name: str) -> None:
    with pytest.raises(UsageError, match="cannot stand in a systemd unit"):
        Service("edgecore", Path("/venv/bin/python"), Path("/srv") / name).unit()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", ["cloudcore", "edgecore"])
def test_systemd_understands_the_units(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.service"
    path.write_text(Service(name, Path(sys.executable), tmp_path / "50 % data").unit())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
