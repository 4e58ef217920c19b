"""Renewing leases: heartbeats gather, coalesce per node, and say when they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cloudcore.apiserver.local import LocalClient
from cloudcore.apiserver.registry import Registry
from cloudcore.hub.leases import GATHER_S, Leases
from cloudcore.store.memory import MemoryStore
from protocol.objects.keys import NodeName, Uid
from protocol.objects.times import micro_timestamp
from tests.support.clouds import LoopClock

pytestmark = pytest.mark.looptime

LEASES = "leases.coordination.k8s.io"


@asynccontextmanager
async def leases() -> AsyncIterator[tuple[Leases, LocalClient, MemoryStore, LoopClock]]:
    store = MemoryStore()
    client, clock = LocalClient(Registry(store)), LoopClock()
    await client.create("namespaces", {"metadata": {"name": "kube-node-lease"}})
    under_test = Leases(client, clock)
    task = asyncio.create_task(under_test.run(), name="leases")
    try:
        yield under_test, client, store, clock
    finally:
        task.cancel()


async def test_a_heartbeat_makes_the_lease_and_says_when_it_came() -> None:
    async with leases() as (under_test, client, _, clock):
        came = clock.wall()
        under_test.renew(NodeName("n1"), Uid("u1"))
        await asyncio.sleep(2 * GATHER_S)
        lease = await client.get(LEASES, "kube-node-lease", "n1")
        assert lease["spec"]["renewTime"] == micro_timestamp(came)
        assert lease["metadata"]["ownerReferences"][0]["uid"] == "u1"


async def test_heartbeats_gather_into_one_step_of_the_store_and_one_write_a_node() -> None:
    async with leases() as (under_test, _, store, _clock):
        nodes = [NodeName(f"n{number}") for number in range(5)]
        for node in nodes:
            under_test.renew(node, Uid("u"))
        await asyncio.sleep(2 * GATHER_S)
        watch = store.watch([LEASES], since=store.revision)
        for _ in range(3):
            for node in nodes:
                under_test.renew(node, Uid("u"))
        progress = await anext(watch)
        watch.close()
        assert sorted(change.record.key.name for change in progress.changes) == nodes
        await asyncio.sleep(2 * GATHER_S)
        assert under_test.renewals_total == 2 * len(nodes)
