"""Plays one seed of the fault lab inside the namespaces it was started in, and leaves its findings in its folder."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tests.support.faultlab import TRANSPORTS, play
from tests.support.faultschedule import Scope


def main() -> int:
    """Play the seed; the exit status is 0 where nothing is wrong, 3 where there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--transport", choices=tuple(TRANSPORTS), default="websocket")
    parser.add_argument("--faults-s", type=float, default=Scope().faults_s)
    parser.add_argument("--stretch", type=float, default=1.0)
    given = parser.parse_args()
    wrong = asyncio.run(play(given.folder, given.seed, Scope(given.faults_s, given.stretch), given.transport))
    (given.folder / "findings").write_text("".join(f"{each}\n" for each in wrong))
    return 3 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
