"""The daemon's process: ``cloudcore run`` execs it with the resolved settings in an environment variable."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the daemon; return its exit status."""
    # The logging library loads rich wherever it is installed: 5 MB and 70 ms for nothing a daemon shows.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    from cloudcore.daemon import run_process  # noqa: PLC0415

    return run_process()


if __name__ == "__main__":
    sys.exit(main())
