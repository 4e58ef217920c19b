"""Which runtimes a device could offer: looked at when it joins."""

from __future__ import annotations

import http.client
import socket
from importlib.util import find_spec
from typing import Final

TIMEOUT_S: Final = 2.0


def docker_answers(address: str) -> bool:
    """Tell whether a Docker Engine, or Podman in its place, answers here and the agent could drive it.

    Args:
        address: ``unix:///…``; engines elsewhere are not looked for.
    """
    if not address.startswith("unix://") or find_spec("aiodocker") is None:
        return False
    connection = _UnixConnection(address.removeprefix("unix://"))
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
