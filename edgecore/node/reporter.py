"""Keeps the Node's status current: at once when a condition or a fact changes, else every few minutes.

One task, :meth:`NodeReporter.run`, owns all of it. Samples are taken every ten seconds, of the network every five, and
cost a few reads; they go up in the heartbeat and are never written to disk. Only a status is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from edgecore.meta.base import Reports
from edgecore.node.facts import LOOPBACK, Facts
from edgecore.node.sampler import Sample, Sampler
from edgecore.node.status import (
    READ_ONLY,
    Allotment,
    conditions_of,
    disk_condition,
    groups_condition,
    node_status,
    runtime_condition,
)
from protocol.heartbeat import KELVIN, Load
from protocol.objects.conditions import set_condition
from protocol.objects.keys import Body
from protocol.objects.times import timestamp

log = structlog.get_logger("edgecore.node")

STATUS_EVERY_S = 300.0
"""A status with nothing new in it goes up this often, as a sign of life for people."""


@dataclass(frozen=True, slots=True)
class ReporterSettings:
    """How often things are looked at.

    Attributes:
        sample_s: Between samples, seconds.
        network_s: Between looks at the network, seconds.
        status_s: Between statuses while nothing changes, seconds.
    """

    sample_s: float = 10.0
    network_s: float = 5.0
    status_s: float = STATUS_EVERY_S


class NodeReporter:
    """Reports the Node's status and answers how busy the node is.

    Args:
        reports: Where statuses go.
        facts: The machine.
        allotment: What of it is for pods.
        sampler: Where samples come from.
        wall_clock: Returns seconds since the epoch.
        settings: How often.
        before: The status last reported: conditions that still hold keep their transition times.
        pods: Returns how many pods are bound to this node, for the load.
    """

    def __init__(
        self,
        reports: Reports,
        facts: Facts,
        allotment: Allotment,
        *,
        sampler: Sampler,
        wall_clock: Callable[[], float],
        settings: ReporterSettings | None = None,
        before: Body | None = None,
        pods: Callable[[], int] = lambda: 0,
    ) -> None:
        self._reports = reports
        self._facts = facts
        self._allotment = allotment
        self._sampler = sampler
        self._wall_clock = wall_clock
        self._settings = settings or ReporterSettings()
        self._pods = pods
        self._conditions = [_lasting(each) for each in (before or {}).get("conditions") or ()]
        self._reported_at: float | None = None
        self.troubles: Callable[[], Mapping[str, str]] = dict
        """Returns what is wrong with the runtimes that can fail on their own, by name."""
        self.pressures: Callable[[], frozenset[str]] | None = None
        """Returns the pressure conditions that hold; None where only the samples tell."""
        self.groups_problem: Callable[[], str] | None = None
        """Returns what is wrong with pods' control groups; None where the device's are not looked after."""
        self.disk_problem: Callable[[], str] = str
        """Returns why the disk takes no writes; empty while it does."""
        self.room: Callable[[], Body | None] = lambda: None
        """Returns the condition that tells who waits for room, once somebody does or did; its time is set here."""
        self.addresses: Callable[[], tuple[str, ...]] = lambda: facts.addresses
        """Returns the machine's addresses, the one that others reach it by first."""
        self.on_move: Callable[[str], None] = lambda _: None
        """Told the new address when that has changed."""
        self._latest: Sample | None = None

    def load(self) -> Load:
        """Return how busy the node was at the latest sample."""
        sample = self._latest
        if sample is None:
            return Load(pods=self._pods())
        return Load(
            cpu=round(sample.cpu * 1000),
            memory=round(sample.memory_used * 1000),
            disk=round(sample.disk_used * 1000),
            rx_bytes_s=round(sample.rx_bytes_s),
            tx_bytes_s=round(sample.tx_bytes_s),
            pods=self._pods(),
            temperature=0 if sample.temperature_c is None else max(1, KELVIN + round(sample.temperature_c * 10)),
            gpu=0 if sample.gpu is None else round(sample.gpu * 1000) + 1,
        )

    async def run(self) -> None:
        """Sample and report until cancelled."""
        clock = asyncio.get_running_loop().time
        settings = self._settings
        while True:
            await self.look(clock())
            until = clock() + settings.sample_s
            while (left := until - clock()) > settings.network_s:
                await asyncio.sleep(settings.network_s)
                self.look_at_network(clock())
                await self.look_at_addresses()
            await asyncio.sleep(max(0.0, left))

    def look_at_network(self, now: float) -> None:
        """Bring the network's part of the latest sample up to date at ``now`` (monotonic seconds)."""
        if self._latest is not None:
            received, sent = self._sampler.network(now)
            self._latest = replace(self._latest, rx_bytes_s=received, tx_bytes_s=sent)

    async def look_at_addresses(self) -> None:
        """Report at once under a new address, where the machine has one. Without any it keeps the last."""
        found = self.addresses()
        if found in (self._facts.addresses, (LOOPBACK,)):
            return
        moved = found[0] != self._facts.addresses[0]
        self._facts = replace(self._facts, addresses=found)
        if moved:
            log.info("the node's address has changed", address=found[0])
            self._reported_at = None
            self.on_move(found[0])
            await self.refresh()

    async def look(self, now: float) -> None:
        """Take one sample at ``now`` (monotonic seconds) and report if there is something to say."""
        await self.look_at_addresses()
        self._latest = self._sampler.sample(now)
        await self._tell(self._latest, now)

    async def refresh(self) -> None:
        """Report at once if there is something to say of what is not sampled."""
        if self._latest is not None:
            await self._tell(self._latest, asyncio.get_running_loop().time())

    async def _tell(self, sample: Sample, now: float) -> None:
        wall = self._wall_clock()
        pressures = None if self.pressures is None else self.pressures()
        conditions = conditions_of(sample, self._conditions, wall, pressures)
        troubles = self.troubles()
        if troubles:
            conditions = set_condition(conditions, runtime_condition(troubles), at=timestamp(wall))
        if self.groups_problem is not None:
            conditions = set_condition(conditions, groups_condition(self.groups_problem()), at=timestamp(wall))
        problem = self.disk_problem()
        if problem or any(each["type"] == READ_ONLY for each in conditions):  # a disk that never failed goes without
            conditions = set_condition(conditions, disk_condition(problem), at=timestamp(wall))
        room = self.room()
        if room is not None:
            conditions = set_condition(conditions, room, at=timestamp(wall))
        changed = conditions != self._conditions
        self._conditions = conditions
        due = self._reported_at is None or now - self._reported_at >= self._settings.status_s
        if changed or due:
            self._reported_at = now
            await self._reports.node_status(node_status(self._facts, self._allotment, conditions, wall))


def _lasting(condition: Body) -> Body:
    return {name: value for name, value in condition.items() if name != "lastHeartbeatTime"}
