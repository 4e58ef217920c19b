"""Listening sockets, and what happens when a port is taken.

A port somebody asked for is used or refused, never replaced. A default port that is taken falls back to a free one;
the choice is recorded in the data folder, so that nodes find the same port after a restart.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protocol.errors import UsageError
from protocol.files import PUBLIC, write_file

RUN_FILE: Final = "run.json"
DATABASE: Final = "cloudcore.db"


@dataclass(slots=True)
class Listeners:
    """Binds the daemon's ports and remembers them.

    Args:
        host: The address to bind.
        recorded: Ports of the previous run, by setting name.
    """

    host: str
    recorded: dict[str, int] = field(default_factory=dict)
    bound: dict[str, socket.socket] = field(default_factory=dict)

    def bind(self, name: str, port: int, *, explicit: bool, host: str | None = None) -> socket.socket:
        """Bind a TCP socket for the setting ``name``.

        Raises:
            UsageError: The port was asked for explicitly and cannot be had, or no port can be had at all.
        """
        candidates = [port] if explicit else [self.recorded.get(name, port), port, 0]
        for candidate in candidates:
            try:
                sock = _listening(host or self.host, candidate)
            except OSError as exc:
                failure = exc
                continue
            self.bound[name] = sock
            return sock
        raise UsageError(_explain(name, candidates[0], host or self.host, failure)) from failure

    @property
    def ports(self) -> dict[str, int]:
        """The bound ports by setting name."""
        return {name: int(sock.getsockname()[1]) for name, sock in self.bound.items()}


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(4096)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _explain(name: str, port: int, host: str, failure: OSError) -> str:
    flag = "--" + name.replace("_", "-")
    if failure.errno == errno.EADDRINUSE:
        return f"port {port} is in use: give another with {flag}, or 0 for a free one"
    if failure.errno == errno.EACCES:
        return f"port {port} needs more privileges: give one above 1023 with {flag}"
    return f"cannot listen on {host}:{port} ({flag}): {os.strerror(failure.errno or 0)}"


def read_run_file(data_dir: Path) -> dict[str, object]:
    """Return what the last run recorded in ``data_dir``; empty where nothing readable is there."""
    try:
        content = json.loads((data_dir / RUN_FILE).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_run_file(data_dir: Path, content: dict[str, object]) -> None:
    """Record this run: process id, start time, ports, names."""
    write_file(data_dir / RUN_FILE, (json.dumps(content, indent=1) + "\n").encode(), mode=PUBLIC)
