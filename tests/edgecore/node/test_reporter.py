from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from edgecore.meta.memory import MemoryDisk, MemoryEngine
from edgecore.meta.store import MetaStore
from edgecore.node.facts import LOOPBACK, Facts
from edgecore.node.reporter import NodeReporter
from edgecore.node.sampler import Sample
from edgecore.node.status import READ_ONLY, Allotment
from protocol.heartbeat import KELVIN, Load
from protocol.objects.conditions import find_condition
from protocol.objects.keys import Body, NodeName

GIB = 1 << 30
FACTS = Facts("pi", ("192.0.2.7",), "machine", "boot", "6.1", "Debian", "arm64", 4, 4 * GIB, 32 * GIB)
HEALTHY = Sample(0.1, 4 * GIB, 3 * GIB, 32 * GIB, 24 * GIB, 100, 32768, 1000.4, 10.0)


class Probe:
    """A sampler that answers what it was told to."""

    def __init__(self) -> None:
        self.now = HEALTHY
        self.looks: list[float] = []

    def sample(self, now: float) -> Sample:
        return self.now

    def network(self, now: float) -> tuple[float, float]:
        self.looks.append(now)
        return 5000.0, 70.0


class Clocked:
    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.store = MetaStore(MemoryEngine(disk), NodeName("edge-1"))
        self.probe = Probe()
        self.wall = 1_700_000_000.0
        self.statuses: list[Body] = []
        self.store.on_owed(lambda rows: self.statuses.extend([self.store.last_node_status()] * len(rows)))
        self.reporter = NodeReporter(
            self.store,
            FACTS,
            Allotment(),
            sampler=self.probe,
            wall_clock=lambda: self.wall + asyncio.get_running_loop().time(),
            before=self.store.last_node_status(),
            pods=lambda: 2,
        )


async def test_the_load_is_that_of_the_latest_sample() -> None:
    clocked = Clocked()
    assert clocked.reporter.load() == Load(pods=2)
    await clocked.reporter.look(0.0)
    assert clocked.reporter.load() == Load(100, 250, 250, 1000, 10, 2)


async def test_a_status_goes_up_at_once_on_a_change_else_every_five_minutes() -> None:
    clocked = Clocked()
    for now in range(0, 600, 10):
        clocked.wall = 1_700_000_000.0 + now
        if now == 200:
            clocked.probe.now = replace(HEALTHY, disk_free_bytes=GIB)
        await clocked.reporter.look(float(now))
    # At the start, at the change, and five minutes after that.
    assert len(clocked.statuses) == 3


async def test_transition_times_outlive_the_agent() -> None:
    disk = MemoryDisk()
    first = Clocked(disk)
    await first.reporter.look(0.0)
    again = Clocked(disk)
    again.wall += 500
    await again.reporter.look(500.0)
    before, after = (each.statuses[0]["conditions"] for each in (first, again))
    assert [each["lastTransitionTime"] for each in before] == [each["lastTransitionTime"] for each in after]


@pytest.mark.looptime
async def test_running_it_samples_at_its_rate() -> None:
    clocked = Clocked()
    task = asyncio.ensure_future(clocked.reporter.run())
    await asyncio.sleep(901)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(clocked.statuses) == 4
    # The machine every ten seconds, and in the middle the network.
    assert clocked.probe.looks == [5.0 + 10 * number for number in range(90)]
    assert clocked.reporter.load() == Load(100, 250, 250, 1000, 10, 2)


async def test_the_network_is_looked_at_between_samples() -> None:
    clocked = Clocked()
    clocked.reporter.look_at_network(0.0)
    assert clocked.reporter.load() == Load(pods=2)
    await clocked.reporter.look(5.0)
    clocked.reporter.look_at_network(10.0)
    assert clocked.reporter.load() == Load(100, 250, 250, 5000, 70, 2)


async def test_temperature_and_graphics_are_told_where_there_are_any() -> None:
    clocked = Clocked()
    clocked.probe.now = replace(HEALTHY, temperature_c=-12.5, gpu=0.0)
    await clocked.reporter.look(0.0)
    load = clocked.reporter.load()
    assert (load.temperature, load.gpu) == (KELVIN - 125, 1)


async def test_a_new_address_is_reported_at_once() -> None:
    clocked = Clocked()
    moves: list[str] = []
    found = FACTS.addresses
    clocked.reporter.addresses = lambda: found
    clocked.reporter.on_move = moves.append
    await clocked.reporter.look(0.0)
    found = ("192.168.7.7", *FACTS.addresses)
    await clocked.reporter.look_at_addresses()
    assert clocked.statuses[-1]["addresses"][0] == {"type": "InternalIP", "address": "192.168.7.7"}
    assert (moves, len(clocked.statuses)) == (["192.168.7.7"], 2)
    await clocked.reporter.look_at_addresses()
    assert len(clocked.statuses) == 2


async def test_a_machine_without_an_address_keeps_its_last() -> None:
    clocked = Clocked()
    clocked.reporter.addresses = lambda: (LOOPBACK,)
    await clocked.reporter.look(0.0)
    await clocked.reporter.look_at_addresses()
    assert [status["addresses"][0]["address"] for status in clocked.statuses] == [FACTS.addresses[0]]


async def test_a_disk_that_takes_no_writes_shows_for_as_long() -> None:
    clocked = Clocked()
    problems = ["", "the meta database failed: disk I/O error", ""]
    while problems:
        clocked.reporter.disk_problem = partial(problems.__getitem__, 0)
        await clocked.reporter.look(0.0)
        del problems[0]
    shown = [find_condition(status["conditions"], READ_ONLY) for status in clocked.statuses]
    assert [found and found["status"] for found in shown] == [None, "True", "False"]
    assert shown[1]
    assert "disk I/O error" in shown[1]["message"]
