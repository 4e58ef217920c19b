"""The built wheel, installed into an environment of its own, has all that its commands need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / "wheels"


def run(*argv: str | Path) -> str:
    done = subprocess.run([str(one) for one in argv], cwd="/", capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not WHEELS.is_dir(), reason="wheels/ is missing: run `make compose-test`")
def test_the_wheel_runs_in_an_environment_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "source"  # building leaves folders behind
    source.mkdir()
    names = ("pyproject.toml", "README.md", "LICENSE", "protocol", "cloudcore", "edgecore")
    run("cp", "-r", *(ROOT / name for name in names), source)
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    offline = ("--quiet", "--no-index", "--find-links", WHEELS)
    run(tmp_path / "venv/bin/pip", "install", *offline, f"{source}[cloud,edge]")
    for command in ("cloudcore", "edgecore"):
        assert command in run(tmp_path / "venv/bin" / command, "--help")
    service = run(tmp_path / "venv/bin/cloudcore", "install-service", "--data-dir", "/srv/cloud", "--dry-run")
    assert f'ExecStart="{tmp_path}/venv/bin/python' in service
