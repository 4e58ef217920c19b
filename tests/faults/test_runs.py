"""One run of the fault lab: real daemons on bad networks. ``make faults`` plays more of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.faultruns import Run, findings, report, start

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.faults, pytest.mark.usefixtures("lab")]

SEED = "AIOKUBEEDGE_SEED"
USUAL_SEED = 12
"""What everybody plays, so that a change that breaks something is told from luck; ``make faults`` plays others."""


@pytest.mark.timeout(480)
def test_nothing_is_lost_doubled_or_left_behind_on_bad_networks() -> None:
    seed = int(os.environ.get(SEED) or USUAL_SEED)
    # Not in pytest's own folder: that goes with the third run from now, and what a failure leaves must not.
    run = Run(seed, Path(tempfile.mkdtemp(prefix="aiokubeedge-faults-")) / f"seed-{seed}")
    with start(run) as process:
        wrong = findings(run, process.wait())
    if wrong:
        pytest.fail(report(run, wrong), pytrace=False)
    shutil.rmtree(run.folder.parent)
