"""Faults at one exact step of a scenario: run it once to count its steps, then once per step with a fault there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.support.fleets import CloudSite, EdgeSite, Fleet, Site, open_gate

Fault = Callable[[Fleet, Site], Awaitable[bool]]
"""Breaks something at a step of a site; true where the site goes down, so that the step is never passed."""

BACK_AFTER_S = 0.5


@dataclass(slots=True)
class Trap:
    """A gate for all sites of a fleet.

    Attributes:
        fleet: The fleet.
        at: The step, counted over all sites from 1, at which the fault strikes; 0 only counts.
        fault: The fault.
        steps: The steps that were passed, in words.
    """

    fleet: Fleet
    at: int
    fault: Fault
    steps: list[str] = field(default_factory=list)

    def set(self) -> None:
        """Begin to count."""
        for site in self.fleet.sites:
            site.gate = self

    def clear(self) -> None:
        """Let everything pass."""
        for site in self.fleet.sites:
            site.gate = open_gate

    async def __call__(self, site: Site, step: str) -> None:
        self.steps.append(f"{type(site).__name__} {step}")
        if len(self.steps) == self.at and await self.fault(self.fleet, site):
            await asyncio.get_running_loop().create_future()  # until the crash takes this task


async def crash_owner(fleet: Fleet, site: Site) -> bool:
    """Crash whoever takes the step."""
    fleet.spawn(_restart(site), "crash")
    return True


async def crash_cloud(fleet: Fleet, site: Site) -> bool:
    """Crash the cloud."""
    fleet.spawn(_restart(fleet.cloud), "crash")
    return site is fleet.cloud


async def crash_edges(fleet: Fleet, site: Site) -> bool:
    """Crash every edge."""
    for edge in fleet.edges.values():
        fleet.spawn(_restart(edge), "crash")
    return isinstance(site, EdgeSite)


async def cut_links(fleet: Fleet, _site: Site) -> bool:
    """Cut every link: what is under way is lost."""
    for edge in fleet.edges.values():
        edge.cut()
    return False


async def _restart(site: Site) -> None:
    await site.crash()
    await asyncio.sleep(BACK_AFTER_S)
    assert isinstance(site, CloudSite | EdgeSite)
    site.start()
