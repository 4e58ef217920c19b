"""The links' figures, added up over all nodes for the metrics.

A series per node and lane would be fifty thousand at ten thousand nodes; what one node's link does is asked with
NodeSync. The sums are formed every few seconds, some nodes at a step: the loop is never held up, and a scrape only
reads them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from cloudcore.hub.hub import Hub
from cloudcore.hub.session import Session
from protocol.messages import Lane
from protocol.pending import lanes_of
from protocol.traffic import TrafficKey

PERIOD_S: Final = 5.0
STEP: Final = 200
"""Nodes looked at between two yields to the event loop: about a millisecond's worth."""


@dataclass(slots=True)
class Figures:
    """Sums over all connected nodes.

    Attributes:
        queued: Keys waiting, per lane.
        in_flight: Items sent and not settled, per lane.
        oldest_s: Age of the oldest change that is owed, per lane, seconds.
        owed: Keys for which something is owed, in flight included.
        nodes: Connected nodes by state: ``in_sync``, ``pending``, ``resuming``, ``rejected``, ``held``.
        traffic: Bytes since the daemon started, by direction, lane and kind.
    """

    queued: Counter[str] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    oldest_s: dict[str, float] = field(default_factory=dict)
    owed: int = 0
    nodes: Counter[str] = field(default_factory=Counter)
    traffic: Counter[TrafficKey] = field(default_factory=Counter)


class LinkFigures:
    """Keeps :class:`Figures` fresh.

    Args:
        hub: Whose links.
        clock: Monotonic seconds, as the links count them.

    Attributes:
        now: The figures, at most :data:`PERIOD_S` old.
    """

    def __init__(self, hub: Hub, clock: Callable[[], float]) -> None:
        self._hub = hub
        self._clock = clock
        self.now = Figures()

    async def run(self) -> None:
        """Keep the figures fresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(PERIOD_S)

    async def refresh(self) -> None:
        """Form the sums anew."""
        fresh = Figures()
        for index, session in enumerate(list(self._hub.sessions.values())):
            self._add(fresh, session)
            if index % STEP == STEP - 1:
                await asyncio.sleep(0)
        for index, meter in enumerate(self._hub.traffic.meters()):
            fresh.traffic.update(meter.total)
            if index % STEP == STEP - 1:
                await asyncio.sleep(0)
        self.now = fresh

    def _add(self, figures: Figures, session: Session) -> None:
        owed = len(session.link.outbox)
        figures.nodes[_state(session, owed)] += 1
        if not owed:
            return
        figures.owed += owed
        now = self._clock()
        for lane, state in lanes_of(session.link).items():
            name = lane.name.lower()
            figures.queued[name] += state.queued
            figures.in_flight[name] += state.in_flight
            if state.oldest is not None:
                figures.oldest_s[name] = max(figures.oldest_s.get(name, 0.0), now - state.oldest)


def _state(session: Session, owed: int) -> str:
    if not session.resumed:
        return "resuming"
    if owed:
        return "held" if session.held else "pending"
    return "rejected" if session.rejections else "in_sync"


def by_lane(values: Iterable[float]) -> dict[str, float]:
    """Return values in the order of the lanes by their names."""
    return {lane.name.lower(): value for lane, value in zip(Lane, values, strict=True)}
