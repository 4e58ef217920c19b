"""Measures a link from one end: datagrams to an echo at the other, and one TCP connection. Run as a program."""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from contextlib import suppress
from itertools import pairwise
from typing import Any

GATHER_S = 0.5
SIZE_BYTES = 200


def probe(host: str, port: int, count: int) -> dict[str, Any]:
    """Return what became of ``count`` numbered datagrams, and of a TCP connection to the same port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(GATHER_S)
        sock.connect((host, port))
        began = time.monotonic()
        for number in range(count):
            with suppress(OSError):  # a packet filter here says no
                sock.send(f"{number:0{SIZE_BYTES}}".encode())
        arrivals: list[tuple[int, float]] = []
        try:
            while len(arrivals) < 2 * count:
                arrivals.append((int(sock.recv(2048)), time.monotonic() - began))
        except OSError:
            pass  # no more come, or nobody is there
    numbers = [number for number, _ in arrivals]
    return {
        "received": len(set(numbers)),
        "doubled": len(numbers) - len(set(numbers)),
        "overtaken": sum(later < earlier for earlier, later in pairwise(numbers)),
        "first_s": arrivals[0][1] if arrivals else None,
        "last_s": arrivals[-1][1] if arrivals else None,
        "tcp": _connect(host, port),
    }


def _connect(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=GATHER_S):
            return "open"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return type(error).__name__


class Echo:
    """Sends datagrams back and accepts connections, in a thread of its own. Use as a context."""

    def __init__(self, host: str) -> None:
        self._tcp = socket.create_server((host, 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((host, self.port))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Echo:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tcp.close()
        self._udp.close()  # the thread may sleep in it: it ends with the process

    def _run(self) -> None:
        while True:
            try:
                self._udp.sendto(*self._udp.recvfrom(2048))
            except OSError:
                return


def main() -> None:
    """Probe and print the findings as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--count", type=int, default=50)
    given = parser.parse_args()
    print(json.dumps(probe(given.host, given.port, given.count)))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
