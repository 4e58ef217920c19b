"""Whether a server, or a program, that is not here may be done without: a developer's tests are skipped, CI's fail."""

from __future__ import annotations

import os
from typing import Final

EVERYTHING: Final = "REQUIRE_SERVERS"
"""``1``: what a test needs and does not find fails it, whatever it is."""


def is_required(what: str) -> bool:
    """Tell whether tests that do not find ``what`` (``DOCKER``, ``KUBECTL``…) fail instead of being skipped."""
    return "1" in (os.environ.get(EVERYTHING), os.environ.get(f"AIOKUBEEDGE_REQUIRE_{what}"))
