"""Wait to be stopped, then remove the containers of the pods of the agent whose data folder is ``EDGECORE_DATA_DIR``.

Pods outlive their agent, so `docker compose restart edge-north` leaves them running. `docker compose down` must not:
this service is stopped after the agent, and takes with it what Compose knows nothing of.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
from typing import Any, Final
from urllib.parse import quote

SOCKET: Final = "/var/run/docker.sock"
TIMEOUT_S: Final = 15.0


class DockerConnection(http.client.HTTPConnection):
    """HTTP over Docker's socket."""

    def __init__(self) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def call(method: str, path: str) -> Any:
    """Return what the engine answers: an object, or None where there is none."""
    connection = DockerConnection()
    try:
        connection.request(method, path)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    return json.loads(content) if response.status == http.client.OK else None


def sweep(owner: str) -> int:
    """Remove the containers that carry the label of the agent ``owner``, and return how many there were."""
    filters = quote(json.dumps({"label": [f"edge.aiokubeedge.io/owner={owner}"]}))
    found = call("GET", f"/containers/json?all=true&filters={filters}") or ()
    for container in found:
        call("DELETE", f"/containers/{container['Id']}?force=true&v=true")
    return len(found)


def main() -> None:
    """Sweep at SIGTERM."""
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    signal.sigwait(stop)
    print(f"removed {sweep(os.environ['EDGECORE_DATA_DIR'])} containers", flush=True)  # noqa: T201 - what it did


if __name__ == "__main__":
    main()
