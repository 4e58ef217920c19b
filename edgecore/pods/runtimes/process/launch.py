"""Turns a fresh interpreter into a pod's supervisor: detached, a subreaper, and light.

``prctl`` needs ctypes, which costs memory a supervisor should not hold. The subreaper flag outlives ``execve``, so
this stage sets it and then execs the supervisor proper in the same process.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_CHILD_SUBREAPER = 36
_FLAGS = ("-I", "-S", "-E")
_CODE = "import sys; sys.path.append(sys.argv[1]); from edgecore.pods.runtimes.process.{0} import main; main()"


def command(module: str, package_root: str, folder: str) -> list[str]:
    """Return the command line that runs ``main()`` of a module of this package in a bare interpreter.

    Args:
        module: ``launch`` or ``supervisor``.
        package_root: The folder that holds the ``edgecore`` package.
        folder: The pod's folder, absolute.
    """
    return [sys.executable, *_FLAGS, "-c", _CODE.format(module), package_root, folder]


def main() -> None:
    """Detach from the caller, become a subreaper, exec the supervisor."""
    if os.fork():
        os._exit(0)
    os.setsid()
    # Without it (a kernel before 3.4) a pod's stray daemons are left to init; everything else works.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    argv = command("supervisor", sys.argv[1], sys.argv[2])
    os.execve(argv[0], argv, {})
