"""``python -m tests.fuzz``: feed every decoder what nobody would send, guided by coverage.

Each target runs in a process of its own, two at a time, and the time is shared out among them. A finding is shown
with its bytes and kept; ``--replay`` runs one input again, in this process, with the whole trace.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from time import monotonic

from tests.fuzz import registry
from tests.fuzz.bounds import Measuring

SHOWN_BYTES = 512
START_S = 120
"""How much longer than its share a target may take: it imports, is instrumented, and finishes its last input."""
_RUNS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


def say(text: str) -> None:
    """Print a line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one target did."""

    target: str
    runs: int
    took_s: float
    found: list[Path]
    output: str
    failed: bool


def fuzz(target: str, seconds: int, seed: int, findings: Path) -> Outcome:
    """Run one target in a process of its own."""
    began = monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
        own = findings / target
        own.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz.worker", target, corpus, str(own), str(seconds), str(seed)]
        try:
            ended = subprocess.run(
                command, capture_output=True, timeout=seconds + START_S, check=False, cwd=os.getcwd()
            )
            output, failed = (ended.stdout + ended.stderr).decode(errors="replace"), ended.returncode != 0
        except subprocess.TimeoutExpired as exc:
            output, failed = f"it did not end\n{exc.stderr!r}", True
    found = sorted(own.iterdir())
    ran = _RUNS.search(output)
    return Outcome(target, int(ran[1]) if ran else 0, monotonic() - began, found, output, failed)


def show(outcome: Outcome) -> None:
    """Print how a target did, and how to see it again."""
    verdict = "FAILED" if outcome.failed else "ok"
    say(f"{outcome.target:<16} {verdict:<7} {outcome.runs:>9} inputs {outcome.took_s:>7.1f} s")
    if not outcome.failed:
        return
    say(outcome.output[-4000:])
    for path in outcome.found:
        data = path.read_bytes()
        more = f" … ({len(data)} bytes)" if len(data) > SHOWN_BYTES else ""
        say(f"  input:  {data[:SHOWN_BYTES]!r}{more}")
        say(f"  replay: python -m tests.fuzz {outcome.target} --replay {path}")
        say(f"  keep:   cp {path} tests/fuzz/regressions/{outcome.target}-WHAT-IT-WAS")


def main() -> int:
    """Fuzz, or replay; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(registry.names())}; all by default"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; 0: another each time")
    parser.add_argument("--findings", type=Path, default=Path(".fuzz"), help="where to keep findings (%(default)s)")
    parser.add_argument("--replay", type=Path, help="run the input in this file again, for one TARGET")
    given = parser.parse_args()
    targets = given.targets or registry.names()
    unknown = set(targets) - set(registry.names())
    if unknown or (given.replay is not None and len(given.targets) != 1):
        parser.error(f"no such target: {', '.join(sorted(unknown))}" if unknown else "--replay needs one TARGET")
    if given.replay is not None:
        Measuring.every = 1
        registry.load(targets[0]).one_input(given.replay.read_bytes())
        say("nothing was found")
        return 0
    seed = given.seed or SystemRandom().randrange(1, 1 << 31)
    share_s = max(1, given.seconds * given.jobs // len(targets))
    say(f"{len(targets)} targets, {share_s} s each, {given.jobs} at a time, seed {seed}")
    with ThreadPoolExecutor(given.jobs) as pool:
        outcomes = list(pool.map(lambda name: fuzz(name, share_s, seed, given.findings), targets))
    for outcome in outcomes:
        show(outcome)
    return 1 if any(outcome.failed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
