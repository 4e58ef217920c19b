"""How both commands end."""

from __future__ import annotations

import sys
from collections.abc import Callable

from protocol.errors import AiokubeedgeError, UsageError


def run_command(program: str, command: Callable[[], object]) -> None:
    """Run ``command``. What it raises on purpose is one line on standard error, never a trace.

    Raises:
        SystemExit: With status 2 for wrong use, with 1 where it could not be done.
    """
    try:
        command()
    except AiokubeedgeError as error:
        sys.stderr.write(f"{program}: {error}\n")
        sys.exit(2 if isinstance(error, UsageError) else 1)
