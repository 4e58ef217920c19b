"""The first process of a process namespace: runs a command, takes in orphans, and ends with the command's status.

When it ends, the kernel kills whatever is left in the namespace.
"""

from __future__ import annotations

import os
import sys


def main(argv: list[str]) -> int:
    """Run ``argv`` and return its exit status, as a shell would."""
    child = os.posix_spawn(argv[0], argv, os.environ)
    while True:
        ended, status = os.wait()
        if ended == child:
            return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
