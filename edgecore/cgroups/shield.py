"""Keeps the agent from being the kernel's victim when memory ends."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SCORE: Final = -999
"""As the kubelet's own: after everything but what is exempt altogether."""


def shield(process: Path = Path("/proc/self")) -> bool:
    """Make this process, and the supervisors it will start, the last victims; tell whether that was allowed.

    It takes CAP_SYS_RESOURCE. Containers take the score of their pod's class instead.

    Args:
        process: Its folder in procfs.
    """
    file = process / "oom_score_adj"
    try:
        if int(file.read_text()) > SCORE:
            file.write_text(str(SCORE))
    except (OSError, ValueError):
        return False
    return True
