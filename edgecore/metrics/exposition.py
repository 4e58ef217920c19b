"""Prometheus' text format: what is taken from a pod's, and how ours is written. Performs no I/O.

Of a pod's exposition two numbers are taken, whatever else is in it: how many requests it has answered, and how busy
its graphics processor is. So nothing is kept but those, and a line that is neither costs one look at its name.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4, and quoted names as in 1.0.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

REQUEST_COUNTERS: Final = (
    b"http_requests_total",
    b"http_server_requests_total",
    b"http_server_requests_seconds_count",
    b"http_request_duration_seconds_count",
    b"nginx_http_requests_total",
    b"grpc_server_handled_total",
    b"requests_total",
)
"""What counts requests; of several the first in this order is taken, all its series together."""
GPU_GAUGES: Final = (b"gpu.utilization", b"gpu_utilization", b"DCGM_FI_DEV_GPU_UTIL")
"""What says how busy a graphics processor is, percent; the mean of the series of the first in this order."""

LONGEST_LINE: Final = 16 * 1024
"""A longer line is passed over."""

_LARGEST: Final = 1e15
_WANTED: Final = frozenset((*REQUEST_COUNTERS, *GPU_GAUGES))
_NAME: Final = re.compile(rb'\s*(?:([A-Za-z_:][A-Za-z0-9_:]*)|\{\s*"((?:[^"\\]|\\.)*)")')
_REST: Final = re.compile(rb'\s*(?:\{?(?:[^"}]|"(?:[^"\\]|\\.)*+")*+\})?\s*([^\s{}]+)(?:\s+[^\s]+)?\s*')


@dataclass(frozen=True, slots=True)
class Summary:
    """What a pod tells of itself.

    Attributes:
        requests: Requests answered so far; None where it does not tell.
        gpu: Use of its graphics processors, percent; None where it does not tell.
    """

    requests: float | None = None
    gpu: float | None = None


@dataclass(slots=True)
class SummaryReader:
    """Takes an exposition in piece by piece. What is not well-formed is passed over."""

    _partial: bytes = b""
    _overlong: bool = False
    _found: dict[bytes, list[float]] = field(default_factory=dict)  # name → sum, series

    def feed(self, data: bytes) -> None:
        """Take the next piece in."""
        *lines, partial = (self._partial + data).split(b"\n")
        if lines and self._overlong:
            del lines[0]
            self._overlong = False
        for line in lines:
            self._line(line)
        self._overlong = self._overlong or len(partial) > LONGEST_LINE
        self._partial = b"" if self._overlong else partial

    def summary(self) -> Summary:
        """Return what was found; call it once, at the end."""
        if not self._overlong:
            self._line(self._partial)
        requests = next((self._found[name][0] for name in REQUEST_COUNTERS if name in self._found), None)
        gpus = next((self._found[name] for name in GPU_GAUGES if name in self._found), None)
        return Summary(requests, gpus[0] / gpus[1] if gpus else None)

    def _line(self, line: bytes) -> None:
        name = _NAME.match(line) if len(line) <= LONGEST_LINE else None
        if name is None or (name[1] or name[2]) not in _WANTED:
            return
        rest = _REST.fullmatch(line, name.end())
        value = _number(rest[1]) if rest is not None else None
        if value is not None:
            total, series = self._found.get(name[1] or name[2], (0.0, 0))
            self._found[name[1] or name[2]] = [total + value, series + 1]


def _number(text: bytes) -> float | None:
    """Return what can be counted with: no NaN, no infinity, nothing negative, nothing beyond all reason."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= _LARGEST else None  # NaN compares as neither


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of ours.

    Attributes:
        name: As exported.
        help: One sentence.
        samples: Labels and value of each series.
        type: ``gauge`` or ``counter``.
    """

    name: str
    help: str
    samples: Iterable[tuple[Mapping[str, str], float]]
    type: Literal["gauge", "counter"] = "gauge"


def written(families: Iterable[Family]) -> str:
    """Return the exposition of ``families``; one without series is left out."""
    lines: list[str] = []
    for family in families:
        series = [f"{family.name}{_labels(labels)} {value!r}" for labels, value in family.samples]
        if series:
            text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
            lines += [f"# HELP {family.name} {text}", f"# TYPE {family.name} {family.type}", *series]
    return "\n".join([*lines, ""])


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
