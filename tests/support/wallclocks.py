"""Wall clocks of daemons that can be stepped while they run; their monotonic clocks are left alone."""

from __future__ import annotations

import mmap
import subprocess
from collections.abc import Mapping
from pathlib import Path

_SOURCE = Path(__file__).with_name("wallclock.c")


def build(folder: Path) -> Path:
    """Compile what daemons preload, and return it.

    Raises:
        subprocess.CalledProcessError: The compiler did not like it.
    """
    library = folder / "wallclock.so"
    subprocess.run(
        ["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(_SOURCE)],
        check=True,
        capture_output=True,
    )
    return library


class WallClock:
    """How far one daemon's wall clock is off.

    Args:
        library: What :func:`build` made.
        path: A file of its own; not on a disk that gets full.
    """

    def __init__(self, library: Path, path: Path) -> None:
        self._path = path
        self._library = library
        path.write_bytes(bytes(8))

    @property
    def env(self) -> Mapping[str, str]:
        """What the daemon's environment must hold."""
        return {"LD_PRELOAD": str(self._library), "WALL_OFFSET_FILE": str(self._path)}

    def set_off(self, seconds: float) -> None:
        """Set the clock ``seconds`` off the true time, at once."""
        with self._path.open("r+b") as file, mmap.mmap(file.fileno(), 8) as page:
            page[:] = round(seconds * 1e9).to_bytes(8, "little", signed=True)
