"""Volumes made of API objects, replaced in one step as the kubelet does it.

Files lie in a folder of their own, ``..data`` is a link to it, and what a container sees are links through
``..data``; so a reader finds all old or all new files.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from edgecore.pods.projection import File
from edgecore.pods.trees import remove_tree

DATA: Final = "..data"


def project(path: Path, files: Mapping[str, File], owner: tuple[int, int] | None = None) -> None:
    """Make ``files`` the content of the folder ``path``, in one step.

    Args:
        path: The volume's folder; made where it is missing.
        files: By relative path.
        owner: User and group to give the files to, or None to leave them the agent's.

    Raises:
        OSError: The disk refuses; the old content stands.
    """
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    data = path / DATA
    names = {PurePosixPath(name).parts[0] for name in files}
    if data.is_dir() and _content(data) == dict(files):
        _show(path, names)  # the agent may have died between the two steps
        return
    fresh = path / f"..{secrets.token_hex(8)}"
    fresh.mkdir(mode=0o755)
    try:
        for name, file in files.items():
            _write(fresh / name, file, owner)
        _point(data, fresh.name)
    except OSError:
        remove_tree(fresh)
        raise
    _show(path, names)
    _clean(path, fresh.name)


def _content(folder: Path) -> dict[str, File]:
    files = (path for path in folder.resolve().rglob("*") if path.is_file())
    root = folder.resolve()
    return {str(path.relative_to(root)): File(path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in files}


def _write(path: Path, file: File, owner: tuple[int, int] | None) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Private until its mode is set: a Secret must not be readable for a moment.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(file.content)
        if owner is not None:
            os.fchown(stream.fileno(), *owner)
        os.fchmod(stream.fileno(), file.mode)


def _point(link: Path, target: str) -> None:
    scratch = link.with_name(f"{link.name}_new")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(target)
    scratch.replace(link)


def _show(path: Path, names: set[str]) -> None:
    for name in names:
        if not (path / name).is_symlink():
            (path / name).symlink_to(f"{DATA}/{name}")
    for present in path.iterdir():
        if not present.name.startswith("..") and present.name not in names:
            present.unlink()


def _clean(path: Path, current: str) -> None:
    """Remove every other generation: the one before, and what an agent that died left half made."""
    for present in path.iterdir():
        if present.name.startswith("..") and present.name not in (DATA, current):
            remove_tree(present)
