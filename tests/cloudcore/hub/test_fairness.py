"""What a node that is dead, slow or far behind costs the others: nothing that can be counted."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cloudcore.hub.hub import Hub
from cloudcore.hub.pacing import PacingSettings
from cloudcore.hub.settings import HubSettings
from cloudcore.hub.upstream import CONCURRENCY_OF_A_NODE
from protocol.errors import ConnectionClosed
from protocol.messages import Item, Op
from protocol.objects.keys import NodeName, ObjectKey, Revision, Uid
from protocol.objects.wellknown import NODE_LEASE_NAMESPACE
from tests.support.clouds import Cloud, Edge, Holding, cloud, settle

pytestmark = pytest.mark.looptime

NEIGHBOURS = ("dead", "stalled", "backlog")


class Calls:
    """Counts Python-level calls: the work that was done, whatever the machine is doing beside."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Calls:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, _frame: Any, event: str, _arg: Any) -> None:
        self.count += event == "call"


@asynccontextmanager
async def busy_cloud(*, neighbours: bool, backlog: int = 500) -> AsyncIterator[tuple[Cloud, list[Edge]]]:
    """A cloud with four healthy nodes and, if asked for, the three worst ones, one with ``backlog`` objects pending."""
    over = asyncio.Event()

    async def stuck() -> bytes:
        await over.wait()
        raise ConnectionClosed(1006, "the test is over")

    async with cloud() as c:
        healthy = []
        for number in range(4):
            await c.add_node(f"n{number}")
            healthy.append(await c.connect(Holding(f"n{number}")))
        for name in NEIGHBOURS if neighbours else ():
            await c.add_node(name)
            edge = await c.connect(Holding(name))
            await settle()
            if name == "dead":
                edge.far.faults.drop = edge.near.faults.drop = 1.0
            elif name == "stalled":
                edge.near.receive = stuck  # type: ignore[method-assign]
            else:
                edge.holds_back = True
        for name in NEIGHBOURS if neighbours else ():
            for number in range(backlog if name == "backlog" else 500):
                await c.add_pod(f"{name}-{number}", name)
        await settle()
        try:
            yield c, healthy
        finally:
            over.set()


async def work_of_a_change(c: Cloud, healthy: list[Edge], number: int) -> int:
    with Calls() as calls:
        for node in range(4):
            await c.add_pod(f"p{number}-{node}", f"n{node}")
        for _ in range(200):
            if all(f"p{number}-{node}" in edge.holding.names("pods") for node, edge in enumerate(healthy)):
                return calls.count
            await asyncio.sleep(0)
    raise AssertionError("the change never arrived")


@pytest.mark.parametrize("backlog", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_dead_stalled_and_backlogged_neighbours_add_no_work_to_a_change(backlog: int) -> None:
    work = {}
    for neighbours in (False, True):
        async with busy_cloud(neighbours=neighbours, backlog=backlog) as (c, healthy):
            await work_of_a_change(c, healthy, 0)  # what happens once only
            work[neighbours] = min([await work_of_a_change(c, healthy, number) for number in range(1, 4)])
            if neighbours:
                owed = {name: len(c.hub.sessions[NodeName(name)].link.outbox) for name in NEIGHBOURS}
                assert min(owed.values()) >= 498  # it all waits: the stalled one may have taken a frame before
    assert work[True] < 1.1 * work[False]


async def test_a_nodes_flood_of_reports_stands_in_front_of_another_with_a_bounded_part() -> None:
    async with cloud() as c:
        written: list[str] = []
        gate = asyncio.Semaphore(0)

        async def settle_one(node: NodeName, item: Item, current: Any, answer: Any) -> Any:
            await gate.acquire()
            written.append(node)

        c.hub.upstream._settle_one = settle_one  # type: ignore[method-assign]

        def reports(count: int) -> list[Item]:
            return [
                Item(Op.PUT, ObjectKey("pods/status", "default", f"p{number}"), Uid("u"), Revision(0), b"\x80")
                for number in range(count)
            ]

        flood = c.spawn(c.hub.upstream.settle(NodeName("flood"), reports(4000), lambda: True))
        await asyncio.sleep(0)
        other = c.spawn(c.hub.upstream.settle(NodeName("other"), reports(1), lambda: True))
        await asyncio.sleep(0)
        for _ in range(CONCURRENCY_OF_A_NODE + 1):
            gate.release()
        await settle(until=other.done)
        assert written.count("flood") <= CONCURRENCY_OF_A_NODE
        for _ in range(4000):
            gate.release()
        await flood
        assert len(written) == 4001


async def test_leases_are_renewed_while_resumes_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cloud(HubSettings(pacing=PacingSettings(resuming=2))) as c:
        await c.add_node("healthy")
        healthy = await c.connect(Holding("healthy"))
        healthy.heartbeat()
        await settle()
        comparing, go_on = [], asyncio.Event()

        async def breathe(hub: Hub) -> None:
            task = asyncio.current_task()
            if task is not None and task.get_name().startswith("session of storm"):  # not the store's follower
                comparing.append(hub)
                await go_on.wait()

        monkeypatch.setattr(Hub, "_breathe", breathe)
        edges = []
        for number in range(20):
            name = f"storm-{number}"
            await c.add_node(name)
            edges.append(await c.connect(Holding(name)))
        await settle()
        assert c.hub.counters["opened"] == 21
        assert len(comparing) == 2
        before = await renewed(c)
        await asyncio.sleep(5.0)
        healthy.heartbeat()
        await settle()
        assert await renewed(c) > before
        go_on.set()
        await settle(until=lambda: all(session.in_sync for session in c.hub.sessions.values()))
        assert all(edge.holding.names("nodes") for edge in edges)


async def renewed(c: Cloud) -> str:
    lease = await c.client.get("leases.coordination.k8s.io", NODE_LEASE_NAMESPACE, "healthy")
    return str(lease["spec"]["renewTime"])
