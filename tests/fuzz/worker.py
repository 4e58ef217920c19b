"""One target under atheris, in a process of its own: ``python -m tests.fuzz.worker TARGET CORPUS FINDINGS SECONDS``.

Coverage-guided: the project's modules are instrumented as they are imported, so that libFuzzer keeps the inputs that
reach something new. It ends the process at the first finding and leaves the input in the findings' folder.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import atheris
import structlog

from tests.fuzz import registry
from tests.fuzz.bounds import Measuring

LONGEST_INPUT_BYTES = 64 * 1024
INPUT_S = 10
"""An input that takes longer is a finding."""
RESIDENT_MIB = 1024
"""So is one that makes the process larger than this."""

MEASURE_EVERY = 17
"""Of how many readings the memory of one is measured."""


def main() -> None:
    """Fuzz until the time is over or something is found."""
    name, corpus, findings, seconds, seed = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with atheris.instrument_imports(include=["protocol", "cloudcore", "edgecore", "tests.fuzz.targets"]):
        target = registry.load(name)
    for index, data in enumerate(registry.inputs(name)):
        Path(corpus, f"seed-{index}").write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT_BYTES}",
        f"-timeout={INPUT_S}",
        f"-rss_limit_mb={RESIDENT_MIB}",
        f"-artifact_prefix={findings}/",
        f"-seed={seed}",
        "-print_final_stats=1",
        "-verbosity=0",
        "-close_fd_mask=0",
    ]
    Measuring.every = MEASURE_EVERY
    atheris.Setup([sys.argv[0], corpus, *options], target.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
