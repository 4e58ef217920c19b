"""``make faults``: plays seeds of the fault lab one after the other, or two at a time, and says what each found.

python -m tests.faults --first 1 --seeds 20 [--minutes M] [--jobs 2] [--keep]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import count
from pathlib import Path

from tests.support.faultruns import Run, findings, missing, report, start
from tests.support.faultschedule import Scope

LONG = Scope(faults_s=150.0, stretch=5.0)
LONG_EVERY = 4
"""With minutes to fill, each fourth seed is long: daemons stand still for up to 40 s, links are silent for longer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Play; the exit status is 0 where no seed found anything."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many, without --minutes")
    parser.add_argument("--minutes", type=float, default=0.0, help="begin new seeds for so long")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--transport", default="websocket", help="how edges reach the hub")
    parser.add_argument("--keep", action="store_true", help="keep the folders of runs that found nothing too")
    given = parser.parse_args(arguments)
    if reason := missing():
        sys.stderr.write(f"{reason}\n")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="aiokubeedge-faults-"))
    until = time.monotonic() + 60.0 * given.minutes
    seeds: Iterator[int] = count(given.first) if given.minutes else iter(range(given.first, given.first + given.seeds))
    runs = (_run(seed, folder, given.transport, varied=bool(given.minutes)) for seed in seeds)
    failed = _play(runs, given.jobs, until=until if given.minutes else None, keep=given.keep)
    if not failed and not given.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def _run(seed: int, folder: Path, transport: str, *, varied: bool) -> Run:
    scope = LONG if varied and seed % LONG_EVERY == 0 else Scope()
    return Run(seed, folder / f"seed-{seed}", scope, transport)


def _play(runs: Iterator[Run], jobs: int, *, until: float | None, keep: bool) -> int:
    """Play runs and return how many of them found something."""
    failed = 0
    pending: set[Future[bool]] = set()
    with ThreadPoolExecutor(jobs) as pool:
        while True:
            while len(pending) < jobs and (until is None or time.monotonic() < until) and (run := next(runs, None)):
                pending.add(pool.submit(_play_one, run, keep=keep))
            if not pending:
                return failed
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            failed += sum(not each.result() for each in done)


def _play_one(run: Run, *, keep: bool) -> bool:
    began = time.monotonic()
    with start(run) as process:
        wrong = findings(run, process.wait())
    if wrong:
        _say(report(run, wrong))
        return False
    _say(f"seed {run.seed}: nothing wrong, {time.monotonic() - began:.0f} s")
    if not keep:
        shutil.rmtree(run.folder, ignore_errors=True)
    return True


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
