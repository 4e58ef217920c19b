"""Every node's bytes of the day: kept over its sessions, and coarsely over restarts of the cloud.

What must survive a restart is one number per node and day. It rides as an annotation on the node's Lease, which each
heartbeat renews anyway and which is not flushed to disk one by one: keeping it costs no write of its own. Up to
:data:`CHECKPOINT_S` of traffic may be forgotten in a crash; the breakdown by lane and kind begins anew.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from cloudcore.clock import Clock
from cloudcore.errors import ApiError, NotFound
from cloudcore.store.base import Store
from protocol.objects.keys import NodeName, ObjectKey
from protocol.objects.resources import LEASES
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE, TRAFFIC
from protocol.traffic import DAY_S, TrafficKey, TrafficMeter, sum_by_key

CHECKPOINT_S: Final = 300.0


class TrafficLedger:
    """The meters of all nodes.

    Args:
        store: Holds the leases.
        clock: Wall and monotonic time.
        daily_bytes: Each node's cap; 0 for none.
    """

    def __init__(self, store: Store, clock: Clock, *, daily_bytes: int = 0) -> None:
        self._store = store
        self._clock = clock
        self._daily_bytes = daily_bytes
        self._meters: dict[NodeName, TrafficMeter] = {}
        self._noted: dict[NodeName, tuple[float, str]] = {}

    def meter(self, node: NodeName) -> TrafficMeter:
        """Return the meter of ``node``, told the time."""
        meter = self._meters.get(node)
        if meter is None:
            meter = self._meters[node] = TrafficMeter(self._daily_bytes)
        meter.tell_time(self._clock.wall(), self._clock.monotonic())
        return meter

    def today(self, node: NodeName) -> dict[TrafficKey, int]:
        """Return the day's bytes of ``node``, connected or not, by direction, lane and kind."""
        meter = self._meters.get(node)
        return {} if meter is None else meter.today()

    def used_bytes(self, node: NodeName) -> int:
        """Return what counts towards the day's cap of ``node``: earlier processes' bytes included, by no kind."""
        meter = self._meters.get(node)
        return 0 if meter is None else meter.used_bytes

    @property
    def daily_bytes(self) -> int:
        """Each node's cap; 0 for none."""
        return self._daily_bytes

    def meters(self) -> list[TrafficMeter]:
        """Return the meters of all nodes."""
        return list(self._meters.values())

    def totals(self) -> dict[TrafficKey, int]:
        """Return the bytes of all nodes since the daemon started, by direction, lane and kind."""
        return sum_by_key(meter.total for meter in self._meters.values())

    def cap(self, daily_bytes: int) -> None:
        """Change every node's cap; the links must then be pumped, for what was held may go."""
        self._daily_bytes = daily_bytes
        for meter in self._meters.values():
            meter.daily_bytes = daily_bytes

    def forget(self, node: NodeName) -> None:
        """Drop what is known of a node that was deleted."""
        self._meters.pop(node, None)
        self._noted.pop(node, None)

    async def recall(self, node: NodeName) -> None:
        """Take up what an earlier process counted for ``node`` today; only before its first session here."""
        if node in self._noted:
            return
        self._noted[node] = (self._clock.monotonic(), "")
        try:
            record = await self._store.get(ObjectKey(LEASES, NODE_LEASE_NAMESPACE, node))
        except (NotFound, ApiError):
            return  # the count begins at zero: a cap is then reached a little later
        annotations = record.decode()["metadata"].get("annotations") or {}
        day, used_bytes = _parsed(annotations.get(TRAFFIC, ""))
        self.meter(node).restore(day, used_bytes)

    def note(self, node: NodeName, *, at_least_every_s: float = CHECKPOINT_S) -> dict[str, str]:
        """Return the annotations to put on the Lease of ``node`` with its next renewal; mostly none.

        Args:
            node: The node.
            at_least_every_s: How old the last note may be, seconds; 0 for one now if anything has changed.
        """
        now = self._clock.monotonic()
        since, last = self._noted.get(node, (now, ""))
        if node not in self._meters or now - since < at_least_every_s:
            return {}
        meter = self._meters[node]
        text = f"{datetime.fromtimestamp(meter.day * DAY_S, UTC).date().isoformat()} {meter.used_bytes}"
        self._noted[node] = (now, text)
        return {} if text == last else {TRAFFIC: text}


def _parsed(text: str) -> tuple[int, int]:
    """Return day (days since 1970) and bytes; zeros where ``text`` is not of the documented form."""
    day, _, used = text.partition(" ")
    try:
        return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) // DAY_S, int(used)
    except ValueError:
        return 0, 0
