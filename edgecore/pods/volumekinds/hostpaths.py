"""hostPath: a file or folder of the host, of the type that the pod counts on."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from edgecore.pods.storage import VolumeUnavailable

_IS_OF_TYPE: Final[Mapping[str, Callable[[int], bool]]] = {
    "Directory": stat.S_ISDIR,
    "DirectoryOrCreate": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "FileOrCreate": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


def check_host_path(text: str, kind: str) -> Path:
    """Make what is to be made and return the path.

    Args:
        text: ``hostPath.path``.
        kind: ``hostPath.type``; empty checks nothing.

    Raises:
        VolumeUnavailable: The path is not of that type, or is no path to be used.
        OSError: The disk refuses.
    """
    path = Path(text)
    if "\0" in text:
        raise VolumeUnavailable(f"hostPath {text!r} has a NUL in it")
    if ".." in path.parts:
        raise VolumeUnavailable(f"hostPath {path} must not contain '..'")
    if not path.is_absolute():
        raise VolumeUnavailable(f"hostPath {text!r} is not absolute")
    if kind == "DirectoryOrCreate":
        os.makedirs(path, 0o755, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    is_of_type = _IS_OF_TYPE.get(kind)
    if kind and not (is_of_type and path.exists() and is_of_type(path.stat().st_mode)):
        raise VolumeUnavailable(f"hostPath type check failed: {path} is not a {kind}")
    return path
