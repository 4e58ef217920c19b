"""What only the running agent knows, told over a Unix socket in the data folder to whoever may read it.

Contract. Each connection is told one JSON object and closed; nothing is read. It is bound through ``/proc`` so that a
deep data folder does not run into the 108 bytes of a socket's name. An agent that cannot bind it runs without.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger("edgecore")

ANSWER_S = 1.0
"""An agent that is held up is not waited for."""
MAX_ANSWER_BYTES = 1 << 20


@asynccontextmanager
async def telling(path: Path, tell: Callable[[], dict[str, Any]]) -> AsyncIterator[None]:
    """Answer on the socket at ``path`` for as long as the block runs."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(tell()).encode())
            await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_unix_server(answer, sock=_bound(path))
    except OSError as error:
        log.warning("status is told from the disk only", cause=str(error))
        yield
        return
    try:
        yield
    finally:
        server.close()
        _remove(path)


def ask(path: Path) -> dict[str, Any]:
    """Return what the agent at ``path`` tells; empty where none answers."""
    try:
        with _short(path) as name, socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(ANSWER_S)
            sock.connect(name)
            told = json.loads(_read_all(sock))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _read_all(sock: socket.socket) -> bytes:
    parts, size = [], 0
    while (part := sock.recv(65_536)) and size < MAX_ANSWER_BYTES:
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _bound(path: Path) -> socket.socket:
    _remove(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _short(path) as name:
            sock.bind(name)
        path.chmod(0o600)  # before it listens: until then nobody gets in
        sock.listen(8)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a short name for ``path``, good inside the block."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
