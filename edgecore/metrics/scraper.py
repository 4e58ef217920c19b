"""Asks pods' metrics endpoints, each within bounds of time and size.

A plain HTTP/1.0 request: the answer ends with the connection, so there is nothing to decode. No redirect is followed.
At most :data:`AT_ONCE` are asked at a time; one that fails is asked less and less often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from edgecore.metrics.endpoints import Endpoint
from edgecore.metrics.exposition import Summary, SummaryReader
from protocol.backoff import UNATTENDED
from protocol.errors import AiokubeedgeError
from protocol.objects.keys import Uid

log = structlog.get_logger("edgecore.metrics")

AT_ONCE: Final = 8
ANSWER_S: Final = 2.0
"""Connecting and the whole answer may take so long together."""
MAX_BODY_BYTES: Final = 1 << 20
"""A longer answer counts as none: half of it would look like a counter that fell."""
MAX_HEAD_BYTES: Final = 16 * 1024

_READ_BYTES: Final = 32 * 1024


class ScrapeFailed(AiokubeedgeError):
    """An endpoint did not answer as it should."""


@dataclass(frozen=True, slots=True)
class _Failed:
    times: int
    again_at: float


@dataclass(slots=True)
class Scraper:
    """Asks endpoints; remembers which failed."""

    _failed: dict[tuple[Uid, Endpoint], _Failed] = field(default_factory=dict)

    async def scrape(self, targets: Mapping[Uid, tuple[str, Endpoint]], now: float) -> dict[Uid, Summary]:
        """Ask all of ``targets`` (host and endpoint of each pod) that are not pausing; return who answered what.

        Args:
            targets: Whom to ask.
            now: Seconds on a monotonic clock.
        """
        asked = {(uid, endpoint) for uid, (_, endpoint) in targets.items()}
        self._failed = {key: failed for key, failed in self._failed.items() if key in asked}
        answers: dict[Uid, Summary] = {}
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(uid: Uid, host: str, endpoint: Endpoint) -> None:
            async with room:
                try:
                    answers[uid] = await fetch(host, endpoint)
                except ScrapeFailed as error:
                    self._note(uid, endpoint, str(error), now)
                else:
                    self._failed.pop((uid, endpoint), None)

        async with asyncio.TaskGroup() as tasks:
            for uid, (host, endpoint) in targets.items():
                failed = self._failed.get((uid, endpoint))
                if failed is None or now >= failed.again_at:
                    tasks.create_task(ask(uid, host, endpoint), name=f"scrape of {uid}")
        return answers

    def _note(self, uid: Uid, endpoint: Endpoint, why: str, now: float) -> None:
        before = self._failed.get((uid, endpoint))
        times = before.times + 1 if before is not None else 1
        if times == 1:
            log.warning("a pod's metrics cannot be read", pod=uid, port=endpoint.port, path=endpoint.path, cause=why)
        self._failed[uid, endpoint] = _Failed(times, now + UNATTENDED.bound_s(times - 1))


async def fetch(host: str, endpoint: Endpoint) -> Summary:
    """Return what the endpoint tells.

    Raises:
        ScrapeFailed: No answer in time, one that is no success, or one that is too long.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(host, endpoint.port, limit=MAX_HEAD_BYTES)
            try:
                writer.write(_request(host, endpoint))
                return await _read(reader)
            finally:
                # At once, whatever is still unsent or unread: nobody waits for a slow pod.
                writer.transport.abort()
    except TimeoutError:
        raise ScrapeFailed(f"no answer within {ANSWER_S:g} s") from None
    except OSError as error:
        raise ScrapeFailed(error.strerror or str(error)) from error


def _request(host: str, endpoint: Endpoint) -> bytes:
    head = (
        f"GET {endpoint.path} HTTP/1.0",
        f"Host: {host}:{endpoint.port}",
        "Accept: text/plain;version=0.0.4",
        "Accept-Encoding: identity",
        "User-Agent: edgecore",
    )
    return "\r\n".join([*head, "", ""]).encode()


async def _read(reader: asyncio.StreamReader) -> Summary:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise ScrapeFailed("the answer is no HTTP") from None
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or status[1] != b"200":
        told = status[1].decode(errors="replace")[:3] if len(status) > 1 else "?"
        raise ScrapeFailed(f"the answer's status is {told}")
    found, size = SummaryReader(), 0
    while piece := await reader.read(_READ_BYTES):
        size += len(piece)
        if size > MAX_BODY_BYTES:
            raise ScrapeFailed(f"the answer is over {MAX_BODY_BYTES} bytes")
        found.feed(piece)
    return found.summary()
