"""What a device may send: so many messages a second, whatever others send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgecore.twin.book import DeviceName

PER_S: Final = 500.0
"""Messages of one device a second, in the long run."""

BURST: Final = 1000.0
"""Messages of one device at once."""

DEVICES_COUNTED: Final = 4096
"""Devices whose messages are counted; of more, the one counted longest starts afresh."""


@dataclass(slots=True)
class _Bucket:
    left: float
    since: float
    told_at: float = float("-inf")


class DeviceFlood:
    """Counts messages by device. Times are seconds on a monotonic clock.

    Args:
        per_s: Messages a second.
        burst: Messages at once.

    Attributes:
        dropped: Messages over the cap so far.
    """

    def __init__(self, per_s: float = PER_S, burst: float = BURST) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: dict[DeviceName, _Bucket] = {}
        self.dropped = 0

    def spend(self, device: DeviceName, now: float) -> bool:
        """Count one message; False where the device has sent too many."""
        bucket = self._buckets.get(device)
        if bucket is None:
            while len(self._buckets) >= DEVICES_COUNTED:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[device] = _Bucket(self._burst, now)
        bucket.left = min(self._burst, bucket.left + (now - bucket.since) * self._per_s)
        bucket.since = now
        if bucket.left < 1:
            self.dropped += 1
            return False
        bucket.left -= 1
        return True

    def may_tell(self, device: DeviceName, now: float) -> bool:
        """Tell whether a device that was capped should hear so: once a second at most."""
        bucket = self._buckets[device]
        if now - bucket.told_at < 1.0:
            return False
        bucket.told_at = now
        return True
