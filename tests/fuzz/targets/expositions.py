"""What a pod tells of itself, and where it says that it does: any bytes in any pieces, any annotations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edgecore.metrics.endpoints import PATH, PORT, SCRAPE, endpoint_of
from edgecore.metrics.exposition import Summary, SummaryReader
from tests.fuzz.bounds import at_most

FACTOR: Final = 64


def one_input(data: bytes) -> None:
    """Read ``data``, whole and in pieces as long as its first byte says; then its lines as annotations."""
    if not data:
        return
    with at_most(len(data), FACTOR):
        found = _read(data[1:], len(data))
    assert found == _read(data[1:], 1 + data[0])
    assert all(value is None or 0 <= value < float("inf") for value in (found.requests, found.gpu))
    port, _, path = data[1:2048].decode(errors="replace").partition("\n")
    annotations = {SCRAPE: "true", PORT: port, PATH: path}
    where = endpoint_of({"metadata": {"annotations": annotations}, "spec": {"containers": []}})
    assert where is None or (1 <= where.port <= 65_535 and where.path.isascii() and where.path.isprintable())


def _read(data: bytes, piece: int) -> Summary:
    reader = SummaryReader()
    for at in range(0, len(data), piece):
        reader.feed(data[at : at + piece])
    return reader.summary()


def seeds() -> Iterable[bytes]:
    """Return some of both."""
    yield b'\x05http_requests_total{code="200",path="/\\"}"} 5 1395066363000\nDCGM_FI_DEV_GPU_UTIL{gpu="0"} 50\n'
    yield b'\x00{"gpu.utilization",a="b"} 1e2\n# HELP x y\nrequests_total NaN\nhttp_requests_total +Inf\n'
    yield b"\x098080\n/metrics?a=b"
