"""Seeded disorder: what users do, and what goes wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from edgecore.meta.memory import MemoryDisk as EdgeDisk
from protocol.objects.keys import Body
from tests.support.fleets import BLACK_HOLE, CALM, STORM, EdgeSite, Fleet, Site
from tests.support.simulatedusers import (
    APP,
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
    SECRETS,
    SERVICES,
    User,
    deployment,
    pod_spec,
)

NAMES = 4
"""Names per resource: few, so that they are used again and again."""
RESOURCES = (CONFIG_MAPS, SECRETS, SERVICES, PODS, DEPLOYMENTS)


class Restless:
    """A user who never stops.

    Args:
        user: Writes and remembers.
        nodes: Where pods may be pinned to.
        rng: Chooses.
    """

    def __init__(self, user: User, nodes: list[str], rng: Random) -> None:
        self.user = user
        self._nodes = nodes
        self._rng = rng

    async def act(self) -> None:
        """Do one thing."""
        rng, user = self._rng, self.user
        resource = rng.choices(RESOURCES, (4, 3, 1, 5, 4))[0]
        key = user.key(resource, f"{resource.split('.')[0]}-{rng.randrange(NAMES)}")
        allowed = user.memory(key).allowed
        if None in allowed and (len(allowed) == 1 or rng.random() < 0.5):
            await user.create(key, self.body(resource, key.name))
            return
        match rng.choices(("update", "delete", "replace", "look"), (5, 2, 3, 1))[0]:
            case "update":
                await user.update(key, self.patch(resource))
            case "delete":
                await user.delete(key, grace_s=self.grace(resource))
            case "replace":
                await user.replace(key, self.body(resource, key.name), grace_s=self.grace(resource))
            case _:
                await user.look(key)

    async def supply(self) -> None:
        """Make what pods wait for."""
        for resource in (CONFIG_MAPS, SECRETS):
            for index in range(NAMES):
                key = self.user.key(resource, f"{resource}-{index}")
                if await self.user.look(key) is None:
                    await self.user.create(key, {"metadata": {}})

    def grace(self, resource: str) -> int | None:
        """Return a grace period: a pod's own, or none at all."""
        return self._rng.choice((None, None, 0)) if resource == PODS else None

    def body(self, resource: str, name: str) -> Body:
        """Return a new object."""
        if resource == SERVICES:
            return {"metadata": {}, "spec": {"selector": {APP: name}, "ports": [{"port": 80}]}}
        if resource == PODS:
            return {"metadata": {"labels": {APP: name}}, "spec": self._spec()}
        if resource == DEPLOYMENTS:
            return deployment(self._rng.randrange(5), self._spec(), name)
        return {"metadata": {}}

    def patch(self, resource: str) -> Body:
        """Return a change."""
        rng = self._rng
        if resource == DEPLOYMENTS and rng.random() < 0.4:
            return {"spec": {"replicas": rng.randrange(5)}}
        if resource == DEPLOYMENTS:
            container = {"name": "main", "env": [{"name": "WRITE", "value": str(rng.random())}]}
            return {"spec": {"template": {"spec": {"containers": [container]}}}}
        if resource == PODS and rng.random() < 0.3:
            container = {"name": "main", "image": f"sim:{rng.getrandbits(32)}"}  # never the same again
            return {"spec": {"containers": [container]}}
        return {"metadata": {"labels": {"simulation/colour": rng.choice(("red", "green", "blue"))}}}

    def _spec(self) -> Body:
        rng = self._rng
        return pod_spec(
            config=f"{CONFIG_MAPS}-{rng.randrange(NAMES)}" if rng.random() < 0.5 else "",
            secret=f"{SECRETS}-{rng.randrange(NAMES)}" if rng.random() < 0.4 else "",
            node=rng.choice(self._nodes) if rng.random() < 0.3 else "",
            helper=rng.random() < 0.3,
        )


@dataclass(slots=True)
class Fuse:
    """A gate that lets ``left`` steps pass and then crashes the owner of the next one there."""

    left: int
    burn: Callable[[], object]

    async def __call__(self, _site: Site, _step: str) -> None:
        self.left -= 1
        if self.left == 0:
            self.burn()
            await asyncio.get_running_loop().create_future()  # until the crash takes this task


class Disorder:
    """Breaks things in a fleet, each for a while.

    Args:
        fleet: What to break.
        rng: Chooses.

    Attributes:
        done: What was broken and when, in words.
    """

    def __init__(self, fleet: Fleet, rng: Random) -> None:
        self._fleet = fleet
        self._rng = rng
        self._under_way: set[asyncio.Task[None]] = set()
        self._broken: set[Site] = set()
        self._over = False
        self.done: list[str] = []

    def strike(self) -> None:
        """Break one thing."""
        rng, fleet = self._rng, self._fleet
        edge = rng.choice(list(fleet.edges.values()))
        faults: list[tuple[Callable[[EdgeSite], Awaitable[None]], int]] = [
            (self._cut, 4),
            (self._hang_up, 3),
            (self._partition, 3),
            (self._storm, 4),
            (self._kill_agent, 3),
            (self._kill_agent_at_a_step, 5),
            (self._lose_power, 2),
            (self._lose_database, 1),
            (self._fill_disk, 2),
            (self._kill_container, 3),
            (self._skew_clock, 1),
            (self._kill_cloud, 1),
            (self._kill_cloud_at_a_step, 2),
            (self._fill_cloud_disk, 1),
        ]
        fault = rng.choices([fault for fault, _ in faults], [weight for _, weight in faults])[0]
        site: Site = fleet.cloud if "cloud" in fault.__name__ else edge
        if site in self._broken:
            return
        self._broken.add(site)
        self.done.append(f"{asyncio.get_running_loop().time():.3f} {fault.__name__.strip('_')} {edge.node}")
        task = fleet.spawn(self._break(site, fault(edge)), f"{fault.__name__} {edge.node}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def heal(self) -> None:
        """Wait until everything broken is whole again."""
        self._over = True
        for site in self._fleet.sites:
            if isinstance(site.gate, Fuse):
                site.gate.left = -1
        while self._under_way:
            await asyncio.wait(list(self._under_way))
        for edge in self._fleet.edges.values():
            edge.weather = CALM

    async def _break(self, site: Site, fault: Awaitable[None]) -> None:
        await fault
        self._broken.discard(site)

    async def _while(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self._rng.uniform(least_s, most_s))

    # Links.

    async def _cut(self, edge: EdgeSite) -> None:
        edge.cut()

    async def _hang_up(self, edge: EdgeSite) -> None:
        edge.weather = STORM  # what is under way takes its time, and meets the next session
        await self._while(0.0, 3.0)
        await edge.hang_up()
        await self._while(0.0, 10.0)
        edge.weather = CALM

    async def _partition(self, edge: EdgeSite) -> None:
        edge.weather = BLACK_HOLE
        await self._while(1.0, self._rng.choice((5.0, 30.0, 120.0)))
        edge.weather = CALM

    async def _storm(self, edge: EdgeSite) -> None:
        edge.weather = STORM
        await self._while(5.0, 60.0)
        edge.weather = CALM

    # Devices.

    async def _kill_agent(self, edge: EdgeSite) -> None:
        await edge.crash()
        await self._while(0.0, 30.0)
        edge.start()

    async def _kill_agent_at_a_step(self, edge: EdgeSite) -> None:
        await self._crash_at_a_step(edge, edge.crash)
        await self._while(0.0, 5.0)
        if not edge.running:
            edge.start()

    async def _lose_power(self, edge: EdgeSite) -> None:
        await edge.lose_power()
        await self._while(5.0, 60.0)
        edge.start()

    async def _lose_database(self, edge: EdgeSite) -> None:
        await edge.crash()
        edge.disk = EdgeDisk()
        await self._while(0.0, 10.0)
        edge.start()

    async def _fill_disk(self, edge: EdgeSite) -> None:
        edge.disk.full = True
        await self._while(1.0, 60.0)
        edge.disk.full = False

    async def _kill_container(self, edge: EdgeSite) -> None:
        for _ in range(self._rng.choice((1, 2))):
            if running := edge.host.running():
                edge.host.die(self._rng.choice(running))
            await self._while(0.0, 1.0)

    async def _skew_clock(self, edge: EdgeSite) -> None:
        edge.clock.skew_s = self._rng.uniform(-3600.0, 3600.0)

    # The cloud.

    async def _kill_cloud(self, _edge: EdgeSite) -> None:
        await self._fleet.cloud.crash()
        await self._while(0.0, 20.0)
        await self._revive_cloud()

    async def _kill_cloud_at_a_step(self, _edge: EdgeSite) -> None:
        cloud = self._fleet.cloud
        await self._crash_at_a_step(cloud, cloud.crash)
        if not cloud.up.is_set():
            await self._while(0.0, 5.0)
            await self._revive_cloud()

    async def _fill_cloud_disk(self, _edge: EdgeSite) -> None:
        cloud = self._fleet.cloud
        cloud.full = True
        await self._while(0.5, 15.0)
        cloud.full = False

    async def _revive_cloud(self) -> None:
        cloud = self._fleet.cloud
        cloud.start()
        await cloud.up.wait()

    async def _crash_at_a_step(self, site: Site, crash: Callable[[], Awaitable[None]]) -> None:
        """Crash ``site`` at one of its next steps; return once it is down, or if no such step comes."""
        down = asyncio.Event()

        async def fall() -> None:
            await crash()
            down.set()

        fuse = Fuse(self._rng.randrange(1, 60), lambda: self._fleet.spawn(fall(), "crash at a step"))
        before, site.gate = site.gate, fuse
        for _ in range(30):
            if down.is_set() or (self._over and fuse.left > 0):
                break
            await asyncio.sleep(1.0)
        site.gate = before
        if fuse.left == 0:
            await down.wait()


async def chaos(fleet: Fleet, *, for_s: float, every_s: float, users: int = 2) -> list[User]:
    """Let users and disorder loose on a fleet for a while, then heal it and return the users.

    Args:
        fleet: A fleet.
        for_s: How long, virtual seconds.
        every_s: Mean time between faults.
        users: How many users, each with a namespace of its own.
    """
    loop, rng = asyncio.get_running_loop(), Random(fleet.rng.random())
    restless = []
    for index in range(users):
        namespace = f"site-{index}"
        await fleet.cloud.client.create("namespaces", {"metadata": {"name": namespace}})
        user = User(lambda: fleet.cloud.client, namespace, rng)
        restless.append(Restless(user, list(fleet.edges), rng))
    disorder = Disorder(fleet, rng)
    end = loop.time() + for_s

    async def work(one: Restless) -> None:
        while loop.time() < end:
            await asyncio.sleep(rng.expovariate(1.0))
            await one.act()

    async def strike() -> None:
        while (wait_s := rng.expovariate(1.0 / every_s)) < end - loop.time():
            await asyncio.sleep(wait_s)
            disorder.strike()

    async with asyncio.TaskGroup() as group:
        for one in restless:
            group.create_task(work(one), name=f"user of {one.user.namespace}")
        group.create_task(strike(), name="disorder")
    await disorder.heal()
    for one in restless:
        await one.supply()
    return [one.user for one in restless]
