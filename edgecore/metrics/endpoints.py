"""Where pods offer metrics of their own: the annotations that Prometheus' usual configuration goes by.

``prometheus.io/scrape: "true"`` asks for it, ``prometheus.io/port`` and ``prometheus.io/path`` say where (the first
TCP port of the pod and ``/metrics`` otherwise); ``prometheus.io/scheme`` other than ``http`` is not scraped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protocol.objects.keys import Body

SCRAPE: Final = "prometheus.io/scrape"
PORT: Final = "prometheus.io/port"
PATH: Final = "prometheus.io/path"
SCHEME: Final = "prometheus.io/scheme"

_PATH: Final = re.compile(r"/[!-~]{0,1023}")  # it stands in a request line: no blanks, no controls


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask.

    Attributes:
        port: TCP port.
        path: Path and query.
    """

    port: int
    path: str


def endpoint_of(pod: Body) -> Endpoint | None:
    """Return where ``pod`` offers metrics; None where it does not, or what it says is no endpoint."""
    annotations = pod["metadata"].get("annotations") or {}
    if annotations.get(SCRAPE) != "true" or annotations.get(SCHEME, "http") != "http":
        return None
    told = annotations.get(PORT)
    number = _first_port(pod) if told is None else told if told.isascii() and told.isdigit() else None
    path = annotations.get(PATH, "/metrics")
    if number is None or len(str(number)) > 5 or not 1 <= int(number) <= 65_535 or not _PATH.fullmatch(path):
        return None
    return Endpoint(int(number), path)


def _first_port(pod: Body) -> int | None:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("protocol", "TCP") == "TCP":
                return int(port["containerPort"])
    return None
