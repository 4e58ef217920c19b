"""``make demo`` plays to its end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from examples.demo.processes import processes_in

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


async def test_the_demo_shows_every_step_and_leaves_no_process_and_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.demo"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 110)
    finally:
        if process.returncode is None:
            process.kill()
    text = out.decode()
    assert process.returncode == 0, text
    assert text.count("✓") == 7, text
    assert "left behind" not in text
    assert processes_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
