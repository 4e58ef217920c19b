"""``python -m edgecore.healthcheck``: exit status 0 while the agent of ``EDGECORE_DATA_DIR`` answers, else 1.

For a container's health check. Whether the cloud can be reached does not count: an agent that is cut off is well.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgecore.live import ask
from edgecore.node.identity import DataFolder


def main() -> int:
    """Return the exit status, and say what is wrong."""
    root = Path(os.environ.get("EDGECORE_DATA_DIR", "")).absolute()
    if ask(DataFolder(root).live):
        return 0
    sys.stderr.write(f"no agent answers in {root}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
