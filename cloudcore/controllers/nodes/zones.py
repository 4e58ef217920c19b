"""The guard against mass eviction: when many nodes of a zone go at once, the network went, not the nodes.

As in Kubernetes: in a healthy zone one node after the other is given up, one in ten seconds. When 55 % of a zone's
nodes (three at least) are gone, it is one in a hundred seconds in a zone of more than fifty nodes, and none in a
smaller one. When every node of every zone is gone, none is, and nodes given up already are spared again.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocol.objects.keys import Body

NORMAL_RATE = 0.1
"""Nodes a second in a healthy zone."""
REDUCED_RATE = 0.01
LARGE_ZONE = 50
UNHEALTHY_SHARE = 0.55


class ZoneState(enum.Enum):
    """How a zone is."""

    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


@dataclass(frozen=True, slots=True)
class Zone:
    """Ready and other nodes of a zone."""

    ready: int = 0
    gone: int = 0

    @property
    def state(self) -> ZoneState:
        """How the zone is."""
        if self.ready == 0 and self.gone > 0:
            return ZoneState.FULL
        if self.gone > 2 and self.gone / (self.ready + self.gone) >= UNHEALTHY_SHARE:
            return ZoneState.PARTIAL
        return ZoneState.NORMAL


def zone_of(node: Body) -> str:
    """Return the name of a node's zone: region and zone labels; nodes without are one zone."""
    labels = node["metadata"].get("labels") or {}
    return f"{labels.get('topology.kubernetes.io/region', '')}/{labels.get('topology.kubernetes.io/zone', '')}"


def survey(nodes: Iterable[tuple[str, bool]]) -> dict[str, Zone]:
    """Count zones from pairs of a zone's name and whether the node is ready."""
    counts: dict[str, list[int]] = {}
    for name, ready in nodes:
        counts.setdefault(name, [0, 0])[0 if ready else 1] += 1
    return {name: Zone(ready, gone) for name, (ready, gone) in counts.items()}


def is_everything_gone(zones: Mapping[str, Zone]) -> bool:
    """Tell whether no zone has a ready node."""
    return bool(zones) and all(zone.state is ZoneState.FULL for zone in zones.values())


def rate(zones: Mapping[str, Zone], name: str) -> float:
    """Return how many nodes a second may be given up in the zone called ``name``."""
    zone = zones.get(name, Zone())
    if is_everything_gone(zones):
        return 0.0
    if zone.state is ZoneState.PARTIAL:
        return REDUCED_RATE if zone.ready + zone.gone > LARGE_ZONE else 0.0
    return NORMAL_RATE


class Pacer:
    """Lets one node pass per ``1 / rate`` seconds and zone. Sans-IO."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def wait_s(self, zone: str, rate: float, now: float) -> float:
        """Return how long to wait (0: pass now, and the turn is taken); infinity where the rate is 0."""
        if rate <= 0:
            return float("inf")
        last = self._last.get(zone)
        left_s = 0.0 if last is None else last + 1.0 / rate - now
        if left_s <= 0:
            self._last[zone] = now
            return 0.0
        return left_s
