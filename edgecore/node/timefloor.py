"""What time it certainly is by now, on a device whose clock may stand in 1970 or in a year to come.

The authority's signatures are proof: a certificate that it has signed to be valid from some time on was not signed much
before. The newest such time is the floor; it is kept in a file, and goes on with the monotonic clock. No clock of the
device can raise it, so that a clock that was wrong once spoils nothing.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from edgecore.node.identity import write_private

log = structlog.get_logger("edgecore")

NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python has no name for: the device's clock is not asked."""


class TimeFloor:
    """The floor, and a clock that is never below it.

    Args:
        path: Where it is kept.
        wall: Returns seconds since the epoch, as the device believes.
        monotonic: Returns seconds on a clock that nobody sets.
    """

    def __init__(
        self,
        path: Path,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._wall = wall
        self._monotonic = monotonic
        self._floor = _kept(path)
        self._since = monotonic()

    @property
    def floor(self) -> float:
        """The time that has certainly come, seconds since the epoch."""
        return self._floor + self._monotonic() - self._since

    def now(self) -> float:
        """Return the time, seconds since the epoch: the device's clock, but never before the floor."""
        return max(self._wall(), self.floor)

    def learn(self, proven: float) -> None:
        """Take note that the time ``proven`` has come. A disk that refuses it loses no more than that."""
        if proven <= self.floor:
            return
        self._floor, self._since = proven, self._monotonic()
        try:
            write_private(self._path, json.dumps(proven).encode())
        except OSError as error:
            log.warning("the time that has come is not recorded", cause=str(error))


def _kept(path: Path) -> float:
    try:
        return float(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return 0.0
