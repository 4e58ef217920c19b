"""Termination messages: a file per instance that a container may write to, and the end of its log in its stead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from edgecore.pods.runtimes.base import ContainerId
from edgecore.pods.runtimes.docker.engine import Engine, EngineError
from edgecore.pods.trees import remove_tree
from protocol.objects.keys import Uid

MESSAGE_BYTES: Final = 4096
LOG_BYTES: Final = 2048
LOG_LINES: Final = 80


class LastWords:
    """The files below ``root``: ``<uid>/<container>/<attempt>``. Plain file work of a few small files.

    Args:
        root: The runtime's folder.
        engine: Whose logs are read.
    """

    def __init__(self, root: Path, engine: Engine) -> None:
        self._root = root
        self._engine = engine

    def lay_out(self, container: ContainerId) -> Path:
        """Return the instance's file, empty, which any user may write to."""
        path = self._path(container)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_bytes(b"")
        path.chmod(0o666)
        return path

    async def read(self, container: ContainerId, docker_id: str, *, from_log: bool) -> str:
        """Return what the instance left, or the end of its log where it left nothing and ``from_log`` is set."""
        text = _first(self._path(container))
        if text or not from_log:
            return text
        try:
            lines = [line async for line in self._engine.logs(docker_id, tail=LOG_LINES, since=0, follow=False)]
        except EngineError:
            return ""
        said = "".join(line.partition(" ")[2] for line in lines)
        return said.encode()[-LOG_BYTES:].decode(errors="ignore")

    def forget(self, container: ContainerId) -> None:
        """Remove the instance's file."""
        self._path(container).unlink(missing_ok=True)

    def forget_pod(self, pod: Uid) -> None:
        """Remove the pod's files."""
        remove_tree(self._root / _safe(pod))

    def _path(self, container: ContainerId) -> Path:
        return self._root / _safe(container.pod) / _safe(container.name) / str(container.attempt)


def _first(path: Path) -> str:
    try:
        # A container could put anything in its place but cannot reach beyond its mount; still, no link is followed.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MESSAGE_BYTES).decode(errors="replace")


def _safe(name: str) -> str:
    if not name or "/" in name or name in (".", ".."):
        raise OSError(f"{name!r} cannot name a folder")
    return name
