"""SIGKILL at any moment: nothing acknowledged is lost, no revision is issued twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from cloudcore.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[4]


async def run_until_killed(database: Path, lines: int) -> list[tuple[str, str, int]]:
    """Return what the writer process was told, killed after it had reported ``lines`` writes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.store_writer", str(database), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    heard = [await process.stdout.readline() for _ in range(lines)]
    os.kill(process.pid, signal.SIGKILL)
    # What was in the pipe had been acknowledged too.
    heard += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    told = [line.decode().split() for line in heard if line.endswith(b"\n")]
    return [(verb, name, int(revision)) for verb, name, revision in told]


@pytest.mark.slow
@pytest.mark.e2e
async def test_killed_writers_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    rng = Random(20)
    database = tmp_path / "a.db"
    issued: set[int] = set()
    last: dict[str, tuple[str, int]] = {}
    for _ in range(5):
        told = await run_until_killed(database, lines=rng.randrange(50, 600))
        revisions = [revision for verb, _, revision in told if verb != "deleting"]
        assert len(set(revisions)) == len(revisions)
        assert not issued & set(revisions)
        issued.update(revisions)
        for verb, name, revision in told:
            if verb in ("put", "delete", "deleting"):
                last[name] = (verb, revision or last[name][1])
        store = await SqliteStore.open(database)
        assert await store.reserve() > max(issued)
        found = {f"{r.key.namespace}/{r.key.name}": r.revision for r in (await store.list("pods")).records}
        check(found, last)
        last = {name: ("put", revision) for name, revision in found.items()}
        await store.close()


def check(found: Mapping[str, int], last: Mapping[str, tuple[str, int]]) -> None:
    """Compare the stored revisions with the last thing said of each name.

    A later write may have reached the disk without having been acknowledged; an earlier one may not be there.
    """
    for name, (verb, revision) in last.items():
        if verb == "put":
            assert found.get(name, 0) >= revision, name
        elif name in found:
            assert found[name] >= revision if verb == "deleting" else found[name] > revision, name
