"""Runs the benchmarks, each in a process of its own, and prints what took how long.

``python -m benchmarks`` runs all of them in about ten minutes; ``--quick`` shrinks each to a few seconds, to see
that it works; names select some. Figures are worth something only on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from rich.console import Console

BENCHMARKS = {
    "link": ["--rounds", "1", "--sessions", "10"],
    "encoding": ["--samples", "10"],
    "store": ["--seconds", "0.3"],
    "apiserver": ["--seconds", "0.5"],
    "apipeer": ["--quick"],
    "scheduler": ["--pods", "2000"],
    "api_to_edge": ["--quick"],
    "broadcast": ["--quick"],
    "connect_storm": ["--quick"],
    "dockerstart": ["--quick"],
    "memory": ["--quick"],
    "footprint": ["--quick"],
    "edgestart": ["--quick"],
}
"""Each benchmark, and what makes it quick."""


def main() -> int:
    """Run what was asked for; return 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a few seconds each: shows that they work, no figures")
    options = parser.parse_args()
    unknown = set(options.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    console, failed = Console(), []
    if (load := os.getloadavg()[0]) > 1:
        console.print(f"[yellow]The machine is busy (load {load:.1f}): expect figures to be lower than they could be.")
    for name in options.names or BENCHMARKS:
        started = time.monotonic()
        arguments = BENCHMARKS[name] if options.quick else []
        status = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode
        console.print(f"{name}: {time.monotonic() - started:.0f} s")
        failed += [name] if status else []
    if failed:
        console.print(f"[red]failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
